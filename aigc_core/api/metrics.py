"""Chooses metrics by name and calls them so that a failure names the plugin at fault."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from torch import Tensor

from aigc_core.errors import ConfigError, PluginError, UserError, did_you_mean
from aigc_core.interfaces import Metric, Modality
from aigc_core.plugins import MetricSpec, PluginHost
from aigc_core.plugins.guarded_import import NEVER_CATCH, describe


class Metrics:
    """Some metrics for the samples of one modality; also the engine's ``Comparison``."""

    def __init__(
        self,
        host: PluginHost,
        modality_name: str,
        modality: Modality,
        names: Sequence[str],
        *,
        column: str = "",
    ) -> None:
        """Choose metrics by name, or all that fit if no names are given.

        Values are named ``<metric>/<value>``, after ``<column>/`` where a column is given.

        Raises:
            PluginError: a metric is missing or is for another modality.
            ConfigError: a metric does not fit these samples, or no names were given and none fits.
        """
        self._host = host
        self._modality = modality
        self._prefix = f"{column}/" if column else ""
        known = [s for s in host.metrics.values() if s.modality in (None, modality_name)]
        fitting = [spec for spec in known if self._fits(spec)]
        self._specs = [host.metric(name, modality_name) for name in names] or fitting
        if not self._specs:
            raise ConfigError(
                f"There is no metric for samples of {modality_name}. See: aigc metrics"
            )
        for spec in self._specs:
            if not self._fits(spec):
                kind = str(modality.sample_dtype).removeprefix("torch.")
                others = [other.name for other in fitting]
                raise ConfigError(
                    f"The metric '{spec.name}' is for samples that are numbers on a scale, and "
                    f"those of {modality_name} are tokens ({kind})."
                    + (did_you_mean(spec.name, others) if others else " There is no other metric.")
                )

    def _fits(self, spec: MetricSpec) -> bool:
        return spec.samples == "any" or self._modality.sample_dtype.is_floating_point

    @property
    def higher_is_better(self) -> Collection[str]:
        """Names, ``<metric>/<value>``, of the values that are better when higher."""
        return [
            f"{self._prefix}{spec.name}/{name}"
            for spec in self._specs
            for name in spec.higher_is_better
        ]

    def __call__(self, real: Tensor, generated: Tensor) -> Mapping[str, float]:
        """Like ``compare``, for stored real samples and generated ones in the model's form."""
        return self.compare(real.cpu(), self._modality.to_stored(generated).cpu())

    def compare(self, real: Tensor, generated: Tensor) -> dict[str, float]:
        """Return values by ``<metric>/<value>`` for stored samples on the CPU.

        Raises:
            UserError: a metric refuses the samples.
            PluginError: the plugin's code failed in any way, or did not return numbers.
        """
        found: dict[str, float] = {}
        for spec in self._specs:
            found |= self._compare(spec, real, generated)
        return found

    def _compare(self, spec: MetricSpec, real: Tensor, generated: Tensor) -> dict[str, float]:
        owner = self._host.owner("metric", spec.name)
        metric = self._host.resolve(spec.code, owner)()
        if not isinstance(metric, Metric):
            raise PluginError(f"The plugin '{owner}' names {spec.code}, which is not a Metric.")
        try:
            values = metric.compare(real, generated, self._modality)
            return {
                f"{self._prefix}{spec.name}/{name}": float(value) for name, value in values.items()
            }
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            if isinstance(error, NEVER_CATCH):
                raise
            raise PluginError(
                f"The metric '{spec.name}' of the plugin '{owner}' failed: {describe(error)}"
            ) from error

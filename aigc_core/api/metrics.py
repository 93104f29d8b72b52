"""Metrics of plugins and of the core, chosen by name and called so that a failure says whose."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from torch import Tensor

from aigc_core.errors import ConfigError, PluginError, UserError, did_you_mean
from aigc_core.interfaces import Metric, Modality
from aigc_core.plugins import MetricSpec, PluginHost
from aigc_core.plugins.guarded_import import MUST_PASS, describe


def choose_metrics(
    host: PluginHost, names: Sequence[str], name: str, modality: Modality
) -> list[MetricSpec]:
    """Return metrics by name, or without names all that fit.

    Args:
        host: knows them.
        names: of metrics.
        name: of the modality.
        modality: whose samples are to be compared.

    Raises:
        PluginError: a metric that is not there, or for another modality.
        ConfigError: a metric that these samples do not fit, or without names none that they do.
    """
    if not names:
        every = [spec for spec in host.metrics.values() if spec.modality in (None, name)]
        fitting = [spec for spec in every if _fits(spec, modality)]
        if not fitting:
            raise ConfigError(f"There is no metric for samples of {name}. See: aigc metrics")
        return fitting
    chosen = [host.metric(metric, name) for metric in names]
    for spec in chosen:
        if not _fits(spec, modality):
            every = [s for s in host.metrics.values() if s.modality in (None, name)]
            others = [s.name for s in every if _fits(s, modality)]
            raise ConfigError(
                f"The metric '{spec.name}' is for samples that are numbers on a scale, and those "
                f"of {name} are tokens ({str(modality.sample_dtype).removeprefix('torch.')})."
                + (did_you_mean(spec.name, others) if others else " There is no other metric.")
            )
    return chosen


def _fits(spec: MetricSpec, modality: Modality) -> bool:
    return spec.samples == "any" or modality.sample_dtype.is_floating_point


def compare(
    host: PluginHost, spec: MetricSpec, real: Tensor, generated: Tensor, modality: Modality
) -> dict[str, float]:
    """Return a metric's values by ``<metric>/<value>``, for stored samples on the CPU.

    Raises:
        UserError: the metric refuses the samples.
        PluginError: the plugin's code failed, whatever it raised, or gave no numbers.
    """
    owner = host.owner("metric", spec.name)
    metric = host.resolve(spec.code, owner)()
    if not isinstance(metric, Metric):
        raise PluginError(f"The plugin '{owner}' names {spec.code}, which is not a Metric.")
    try:
        values = metric.compare(real, generated, modality)
        return {f"{spec.name}/{name}": float(value) for name, value in values.items()}
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, MUST_PASS):
            raise
        raise PluginError(
            f"The metric '{spec.name}' of the plugin '{owner}' failed: {describe(error)}"
        ) from error


class MetricComparison:
    """What the engine is handed to compare samples with at validations."""

    def __init__(self, host: PluginHost, specs: Sequence[MetricSpec], modality: Modality) -> None:
        self._host = host
        self._specs = specs
        self._modality = modality

    @property
    def higher_is_better(self) -> Collection[str]:
        """Names of values, as they are declared."""
        return [f"{spec.name}/{name}" for spec in self._specs for name in spec.higher_is_better]

    def __call__(self, real: Tensor, generated: Tensor) -> Mapping[str, float]:
        """Return the values of all metrics for generated samples in the model's form."""
        stored = self._modality.to_stored(generated).cpu()
        found: dict[str, float] = {}
        for spec in self._specs:
            found |= compare(self._host, spec, real.cpu(), stored, self._modality)
        return found

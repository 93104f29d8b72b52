"""Measuring on held-out data: the same samples and the same randomness every time."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from aigc_core.config import EngineConfig
from aigc_core.engine.data import ResidentData
from aigc_core.engine.order import permuted
from aigc_core.engine.sampling import draw_samples, evaluation_mode, joined, row_conditions
from aigc_core.engine.seeds import derive_seed, isolated_rng
from aigc_core.errors import UserError
from aigc_core.interfaces import Batch, Generator, StepState, Trainer

logger = logging.getLogger("aigc")

Measure = Callable[[Batch, StepState], Mapping[str, Tensor]]
_FEW = 8  # samples to try a metric on; more if the generator's chunk is larger


class Comparison(Protocol):
    """Measures how close generated samples are to real ones."""

    @property
    def higher_is_better(self) -> Collection[str]:
        """Names of the values that are better when higher; all others are better when lower."""

    def __call__(self, real: Tensor, generated: Tensor) -> Mapping[str, float]:
        """Return values by name.

        Args:
            real: held-out samples ``(N, ...)`` in their stored form, as passed to the engine.
            generated: equally many ``(N, *sample_shape)`` in the model's form, on the engine's
                device.
        """


class Validation:
    """Everything a validation measures, by flat name: ``validation/loss``."""

    def __init__(
        self, measures: TrainerMeasures | None, comparison: SampleComparison | None
    ) -> None:
        """Combine the trainer's measures and the comparison of samples; each may be None."""
        self._measures = measures
        self._comparison = comparison

    def run(self, step: int, generator: Generator) -> dict[str, float]:
        """Return the values; a failing metric is only a warning, as the training matters more."""
        found = self._measures.run(step) if self._measures else {}
        if self._comparison is not None:
            try:
                found |= self._comparison.run(generator)
            except UserError as error:
                logger.warning("The samples of step %d were not compared: %s", step, error)
        return {f"validation/{name}": value for name, value in found.items()}

    def names(self, generator: Generator) -> list[str]:
        """Return the names of what will be measured, found by trying it on a few samples.

        Raises:
            UserError: the comparison refuses the samples, or fails.
        """
        found = self._measures.run(0, batches=1) if self._measures else {}
        if self._comparison is not None:
            found |= self._comparison.try_out(generator)
        return [f"validation/{name}" for name in found]


class TrainerMeasures:
    """Measures a trainer's networks on held-out samples, in float32 and evaluation mode."""

    def __init__(
        self,
        measure: Measure,
        networks: Iterable[nn.Module],
        data: ResidentData,
        device: torch.device,
        config: EngineConfig,
        *,
        total_steps: int,
        epochs_per_step: float,
    ) -> None:
        """Choose at most ``validation_samples`` at random, to be measured in batches."""
        self._total_steps, self._epochs_per_step = total_steps, epochs_per_step
        self._measure = measure
        self._networks = list(networks)
        self._data = data
        self._device = device
        self._seed = derive_seed(config.seed, "validation")
        self._batch_size = config.batch_size
        count = min(config.validation_samples, len(data))
        choice = derive_seed(config.seed, "validation-choice")
        chosen = permuted(torch.arange(count), len(data), choice).sort().values
        self._indices = chosen.to(data.index_device)

    def run(self, step: int, *, batches: int | None = None) -> dict[str, float]:
        """Return the means over all chosen samples, or the first ``batches``, by name.

        Training is not disturbed.
        """
        chosen = self._indices[: batches * self._batch_size if batches else None]
        rng = torch.Generator(self._device).manual_seed(self._seed)
        sums: dict[str, Tensor] = {}
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            stack.enter_context(isolated_rng(self._device, self._seed))
            for network in self._networks:
                stack.enter_context(evaluation_mode(network))
            for indices in torch.split(chosen, self._batch_size):
                state = StepState(
                    step=step,
                    repeat=0,
                    parts=1,
                    rng=rng,
                    scratch={},
                    _log=lambda name, value: None,
                    total_steps=self._total_steps,
                    epoch=step * self._epochs_per_step,
                    training=False,
                )
                terms: Mapping[str, Tensor] = self._measure(self._data.take(indices), state)
                for name, term in terms.items():
                    total = term.double() * len(indices)
                    sums[name] = sums[name] + total if name in sums else total
        means = torch.stack(list(sums.values())) / len(chosen)
        return dict(zip(sums, means.tolist(), strict=True))


class SampleComparison:
    """Compares the same held-out samples with samples of the same seed, every time."""

    def __init__(
        self,
        compare: Mapping[str, Comparison],
        data: ResidentData,
        device: torch.device,
        config: EngineConfig,
    ) -> None:
        """Choose at most ``validation_metric_samples`` of the data, at random.

        Not at regular intervals: data may be periodic, such as class after class.
        """
        self._compare = compare
        self._data = data
        count = min(config.validation_metric_samples, len(data))
        seed = derive_seed(config.seed, "validation-choice")
        self._rows = permuted(torch.arange(count), len(data), seed).sort().values
        self._names = ", ".join(config.validation_metrics) or "metrics"
        self._device = device
        self._seed = derive_seed(config.seed, "validation-samples")

    def run(self, generator: Generator) -> dict[str, float]:
        """Return values by name; training is not disturbed."""
        return self._run(generator, self._rows)

    def try_out(self, generator: Generator) -> dict[str, float]:
        """Compare a small sample, only to learn the values' names; all samples if it is refused.

        Raises:
            UserError: all samples are refused, too.
        """
        whole = len(self._rows)
        count = min(whole, max(generator.sample_chunk, _FEW))
        logger.info("Trying out %s on %d generated samples", self._names, count)
        few = self._rows[torch.arange(count) * whole // count]
        try:
            return self._run(generator, few)
        except UserError as error:
            if count == whole:
                raise
            logger.info("Trying out %s on %d samples, since: %s", self._names, whole, error)
        return self.run(generator)

    def _run(self, generator: Generator, rows: Tensor) -> dict[str, float]:
        given = row_conditions(generator, self._data, rows)
        drawn = draw_samples(
            generator, len(rows), seed=self._seed, device=self._device, conditions=given
        )
        generated = joined(drawn)
        found: dict[str, float] = {}
        for column, compare in self._compare.items():
            real = self._data.stored(column, rows % self._data.length_of(column))
            with torch.no_grad(), isolated_rng(self._device, self._seed):
                found |= compare(real, generated[column])
        return found


def build_validation(
    trainer: Trainer,
    held_out: ResidentData | None,
    compare: Mapping[str, Comparison],
    config: EngineConfig,
    *,
    device: torch.device,
    total_steps: int,
    epochs_per_step: float,
) -> Validation | None:
    """Return what validations run; None without held-out data, or if they are switched off."""
    if held_out is None:
        return None
    comparison = None
    if compare:
        comparison = SampleComparison(compare, held_out, device, config)
    measures, measure = None, trainer.validation()
    if measure is not None:
        measures = TrainerMeasures(
            measure,
            trainer.networks().values(),
            held_out,
            device,
            config,
            total_steps=total_steps,
            epochs_per_step=epochs_per_step,
        )
    return Validation(measures, comparison)

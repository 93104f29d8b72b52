"""Generated samples beside held-out ones, for metrics that the engine is handed and knows not."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Protocol

import torch
from torch import Tensor

from aigc_core.config import EngineConfig
from aigc_core.engine.permutation import permuted
from aigc_core.engine.sampling import draw_samples
from aigc_core.engine.seeds import derive_seed, isolated_rng
from aigc_core.errors import UserError
from aigc_core.interfaces import Generator

logger = logging.getLogger("aigc")

_FEW = 8  # samples to try a metric out on, or as many as the generator always draws together


class Comparison(Protocol):
    """Says in numbers how near generated samples come to real ones."""

    @property
    def higher_is_better(self) -> Collection[str]:
        """Names of the values that are better when higher; all others when lower."""

    def __call__(self, real: Tensor, generated: Tensor) -> Mapping[str, float]:
        """Return values by name.

        Args:
            real: held-out samples ``(N, ...)`` in their stored form, as the engine was given them.
            generated: as many ``(N, *sample_shape)`` in the model's form, on the engine's device.
        """


class SampleComparison:
    """Compares the same held-out samples with those of the same latents, every time."""

    def __init__(
        self, compare: Comparison, stored: Tensor, device: torch.device, config: EngineConfig
    ) -> None:
        """Choose at most ``validation_metric_samples`` of the stored ones, at random.

        Not evenly spread: data may repeat itself with a period, such as class after class.
        """
        self._compare = compare
        count = min(config.validation_metric_samples, len(stored))
        seed = derive_seed(config.seed, "validation-choice")
        self._real = stored[permuted(torch.arange(count), len(stored), seed).sort().values]
        self._names = ", ".join(config.validation_metrics) or "metrics"
        self._device = device
        self._seed = derive_seed(config.seed, "validation-samples")

    def run(self, generator: Generator) -> dict[str, float]:
        """Return values by name; training is not disturbed."""
        return self._run(generator, self._real)

    def try_out(self, generator: Generator) -> dict[str, float]:
        """Return values of as few samples as will do, for their names; all where few are refused.

        Raises:
            UserError: all samples are refused, too.
        """
        whole = len(self._real)
        count = min(whole, max(generator.sample_chunk, _FEW))
        logger.info("Trying out %s on %d generated samples", self._names, count)
        few = self._real[torch.arange(count) * whole // count]
        try:
            return self._run(generator, few)
        except UserError as error:
            if count == whole:
                raise
            logger.info("Trying out %s on %d samples, since: %s", self._names, whole, error)
        return self.run(generator)

    def _run(self, generator: Generator, real: Tensor) -> dict[str, float]:
        drawn = draw_samples(generator, len(real), seed=self._seed, device=self._device)
        generated = torch.cat(list(drawn))
        with torch.no_grad(), isolated_rng(self._device, self._seed):
            return dict(self._compare(real, generated))

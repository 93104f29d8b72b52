"""Single steps of a recipe's phases, on the same few samples each time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from aigc_core.engine import isolated_rng
from aigc_core.engine.meter import Meter
from aigc_core.engine.step import PhaseRunner, StepRunner, build_phases
from aigc_core.interfaces import Batch
from aigc_core.testing.recipe_subject import CPU, RecipeSubject

SEED = 1


class Stepper:
    """A new build of a recipe and its first step, to be repeated at will.

    The engine's own parts do the work. Step number, seed and batches never change, so that all
    that differs between two steps is the weights.
    """

    def __init__(self, recipe: RecipeSubject, *, batch_size: int | None = None) -> None:
        """Build; ``batch_size`` is the recipe's if None, else there is no accumulation."""
        engine = recipe.config.engine
        self.parts = recipe.build()
        self.networks = dict(self.parts.trainer.networks())
        for network in self.networks.values():
            network.train()
        self.runners = build_phases(self.networks, list(self.parts.trainer.phases()), CPU)
        accumulate = engine.accumulate if batch_size is None else 1
        self._part_size = (batch_size or engine.batch_size) // accumulate
        self._accumulate = accumulate
        self._arrays = recipe.store.arrays
        self._steps = StepRunner(self.runners, CPU, "fp32", accumulate)

    def step(self) -> dict[str, float]:
        """Run all phases once and return the means that were logged, by name."""
        meter = Meter(CPU)
        with isolated_rng(CPU, SEED):
            self._steps.run(0, SEED, self._batch_of, meter)
        return meter.read()[0]

    @contextmanager
    def only(self, runner: PhaseRunner) -> Iterator[None]:
        """Let one phase learn inside; the others run, with a learning rate of zero.

        They have to run: phases of a step may share what they computed.
        """
        others = [
            (group, group["lr"])
            for other in self.runners
            if other is not runner
            for group in other.optimizer.param_groups
        ]
        for group, _ in others:
            group["lr"] = 0.0
        try:
            yield
        finally:
            for group, rate in others:
                group["lr"] = rate

    def _batch_of(self, repeat: int, part: int) -> Batch:
        count = len(self._arrays["samples"])
        start = (repeat * self._accumulate + part) * self._part_size
        indices = torch.arange(start, start + self._part_size) % count
        batch = {name: array.index_select(0, indices) for name, array in self._arrays.items()}
        batch["samples"] = self.parts.modality.to_model(batch["samples"])
        return batch

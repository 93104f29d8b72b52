"""Single steps of a recipe's phases, each time on the same few samples or on others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from aigc_core.engine import isolated_rng, saved_modules
from aigc_core.engine.metrics import Meter
from aigc_core.engine.step import PhaseRunner, StepRunner, build_phases
from aigc_core.interfaces import Batch, Phase
from aigc_core.testing.recipe_subject import CPU, RecipeSubject

SEED = 1
_CONSTANT = {"schedule": "constant", "warmup_steps": 0}
"""Settings of an optimiser that keep its learning rate constant."""


class Stepper:
    """A new build of a recipe, and steps of it that can be repeated at will.

    The engine's own parts do the work. Learning rates are constant, and a step's seed and batches
    depend only on its number, so two steps with the same number differ only in the weights.
    """

    def __init__(self, recipe: RecipeSubject, *, batch_size: int | None = None) -> None:
        """Build; without ``batch_size``, use the recipe's; with it, do not accumulate gradients."""
        engine = recipe.config.engine
        self.parts = recipe.build()
        trainer = self.parts.trainer
        self.networks = saved_modules(trainer)
        for network in self.networks.values():
            network.train()
        phases = [_with_a_constant_rate(phase) for phase in trainer.phases()]
        self.runners = build_phases(self.networks, phases, CPU)
        accumulate = engine.accumulate if batch_size is None else 1
        self._part_size = (batch_size or engine.batch_size) // accumulate
        self._accumulate = accumulate
        self._data = recipe.data
        self._steps = StepRunner(self.runners, CPU, "fp32", accumulate, 1, trainer.after_step)

    def step(self, number: int = 0) -> dict[str, float]:
        """Run the phases of a step once and return the logged means, by name."""
        meter = Meter(CPU)
        first = number * self._steps.repeats * self._accumulate

        def batch_of(repeat: int, part: int) -> Batch:
            return self._batch(first + repeat * self._accumulate + part)

        with isolated_rng(CPU, SEED + number):
            self._steps.run(number, SEED + number, batch_of, meter.add)
        return meter.read()[0]

    @contextmanager
    def only(self, runner: PhaseRunner) -> Iterator[None]:
        """Let only one phase learn inside the block; the others have a learning rate of zero.

        The others still have to run: phases of a step may share what they computed.
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

    def _batch(self, number: int) -> Batch:
        start = number * self._part_size
        return self._data.take(torch.arange(start, start + self._part_size) % len(self._data))


def _with_a_constant_rate(phase: Phase) -> Phase:
    fields = type(phase.optimizer).model_fields
    constant = {name: value for name, value in _CONSTANT.items() if name in fields}
    return replace(phase, optimizer=phase.optimizer.model_copy(update=constant))

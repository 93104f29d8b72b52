"""Recipes with one mistake each, as the functions that build them."""

import itertools
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from dots.networks import DotDiscriminator, DotGenerator
from torch import Tensor, nn

from aigc_core import (
    AdversarialTrainer,
    Batch,
    ConfigError,
    LatentGenerator,
    Phase,
    RecipeContext,
    StepState,
)

_draws = itertools.count()
_logs = itertools.count()


def build_with(
    generator: type[DotGenerator] = DotGenerator,
    discriminator: type[DotDiscriminator] = DotDiscriminator,
    trainer: type[AdversarialTrainer] = AdversarialTrainer,
) -> Callable[[RecipeContext], AdversarialTrainer]:
    def build(context: RecipeContext) -> AdversarialTrainer:
        width = context.model.width
        return trainer(generator(width), discriminator(width), context.trainer)

    return build


# Building


def cannot(context: RecipeContext) -> None:
    raise ConfigError("There is no such width. Set model.width to another.")


def slow(context: RecipeContext) -> AdversarialTrainer:
    end = time.process_time() + 0.04
    while time.process_time() < end:
        pass
    return build_with()(context)


def litters(context: RecipeContext) -> AdversarialTrainer:
    Path("built.log").write_text("built", encoding="utf-8")
    return build_with()(context)


class _Shifted(LatentGenerator):
    """A generator with something of its own, which is in none of the trainer's networks."""

    latent_shape = (4,)

    def __init__(self, inner: DotGenerator) -> None:
        super().__init__()
        self.inner = inner
        self.register_buffer("shift", torch.zeros(2))

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.inner(latents) + self.shift


class _HalfSaved(AdversarialTrainer):
    def __init__(self, generator: DotGenerator, *rest: Any) -> None:
        super().__init__(_Shifted(generator), *rest)

    def networks(self) -> Mapping[str, nn.Module]:
        return {**super().networks(), "generator": self._generator.inner}


class _Sharing(AdversarialTrainer):
    """Nothing wrong: a network that is a part of another."""

    def networks(self) -> Mapping[str, nn.Module]:
        return {"first": self._generator.layers[0], **super().networks()}


shares_a_layer = build_with(trainer=_Sharing)
half_saved = build_with(trainer=_HalfSaved)


# Sampling


class _Loud(DotGenerator):
    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return 2 + super().forward(latents)


class _OneTooMany(DotGenerator):
    def sample(self, count: int, **how: Any) -> Tensor:
        return super().sample(count + (count == 3), **how)


class _Constant(DotGenerator):
    def sample_latents(self, count: int, *, rng: torch.Generator) -> Tensor:
        return torch.ones(count, 4, device=rng.device)


class _Restless(DotGenerator):
    def sample(self, count: int, **how: Any) -> Tensor:
        return super().sample(count, **how) * (1 - next(_draws) / 1e3)


class _IgnoresRng(DotGenerator):
    def sample(self, count: int, **how: Any) -> Tensor:
        return self(torch.randn(count, 4, device=how["rng"].device))


class _ReadsBack(DotGenerator):
    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        dots = super().forward(latents)
        return dots if dots.abs().max().item() < 2 else dots.clamp(-1, 1)


class _CopiesToTheHost(DotGenerator):
    def sample(self, count: int, **how: Any) -> Tensor:
        return super().sample(count, **how).cpu()


class _StaysOnTheHost(DotGenerator):
    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return super().forward(latents) + torch.zeros(2)


class _UsesRandom(DotGenerator):
    def sample(self, count: int, **how: Any) -> Tensor:
        random.random()
        return super().sample(count, **how)


class _UsesNumpy(DotGenerator):
    def sample(self, count: int, **how: Any) -> Tensor:
        import numpy

        numpy.random.rand()
        return super().sample(count, **how)


class _StaysInEvaluation(DotGenerator):
    def sample(self, count: int, **how: Any) -> Tensor:
        self.eval()
        return super().sample(count, **how)


class _Counts(DotGenerator):
    """Notes in a buffer that it was asked; sampling during a training then changes weights."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.register_buffer("asked", torch.zeros(()))

    def sample(self, count: int, **how: Any) -> Tensor:
        if not self.training:
            self.asked += 1
        return super().sample(count, **how)


loud = build_with(generator=_Loud)
one_too_many = build_with(generator=_OneTooMany)
constant = build_with(generator=_Constant)
restless = build_with(generator=_Restless)
reads_back = build_with(_ReadsBack)
copies_to_the_host = build_with(_CopiesToTheHost)
stays_on_the_host = build_with(_StaysOnTheHost)
ignores_rng = build_with(generator=_IgnoresRng)
uses_random = build_with(generator=_UsesRandom)
uses_numpy = build_with(generator=_UsesNumpy)
stays_in_evaluation = build_with(generator=_StaysInEvaluation)
counts = build_with(generator=_Counts)


# Losses


class _Changed(AdversarialTrainer):
    """A game whose generator's loss is changed."""

    def phases(self) -> Sequence[Phase]:
        first, second = super().phases()
        return [first, replace(second, loss=self._changed)]

    def _changed(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        raise NotImplementedError


class _Meddles(_Changed):
    def _changed(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        terms = self._generator_loss(batch, state)
        with torch.no_grad():
            for parameter in self._discriminator.parameters():
                parameter.data.mul_(1.0001)
        return terms


class _LogsNoise(_Changed):
    def _changed(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        state.log("noise", torch.tensor(float(next(_logs))))
        return self._generator_loss(batch, state)


class _Remembers(_Changed):
    """Gradients depend on how often it was called, which is in no checkpoint."""

    calls = 0

    def _changed(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        self.calls += 1
        weights = sum(parameter.sum() for parameter in self._generator.parameters())
        nothing = 1e-6 * self.calls * (weights - weights.detach())
        return {**self._generator_loss(batch, state), "nothing": nothing}


class _Climbs(_Changed):
    """The value of the loss, and the negative of its gradient."""

    def _changed(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        terms = self._generator_loss(batch, state)
        return {name: 2 * term.detach() - term for name, term in terms.items()}


meddles = build_with(trainer=_Meddles)
logs_noise = build_with(trainer=_LogsNoise)
remembers = build_with(trainer=_Remembers)
climbs = build_with(trainer=_Climbs)

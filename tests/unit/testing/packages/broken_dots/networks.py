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
from torch.nn.utils.parametrizations import spectral_norm

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


def _build(
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
    time.sleep(0.04)
    return _build()(context)


def litters(context: RecipeContext) -> AdversarialTrainer:
    Path("built.log").write_text("built", encoding="utf-8")
    return _build()(context)


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


shares_a_layer = _build(trainer=_Sharing)
half_saved = _build(trainer=_HalfSaved)


# Sampling


class _Loud(DotGenerator):
    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return 2 + super().forward(latents)


class _OneTooMany(DotGenerator):
    def sample(self, count: int, **how: Any) -> Tensor:
        return super().sample(count + (count == 3), **how)


class _Constant(DotGenerator):
    def sample_latents(self, count: int, *, rng: torch.Generator) -> Tensor:
        return torch.ones(count, 4)


class _Restless(DotGenerator):
    def sample(self, count: int, **how: Any) -> Tensor:
        return super().sample(count, **how) * (1 - next(_draws) / 1e3)


class _IgnoresRng(DotGenerator):
    def sample(self, count: int, **how: Any) -> Tensor:
        return self(torch.randn(count, 4))


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


loud = _build(generator=_Loud)
one_too_many = _build(generator=_OneTooMany)
constant = _build(generator=_Constant)
restless = _build(generator=_Restless)
ignores_rng = _build(generator=_IgnoresRng)
uses_random = _build(generator=_UsesRandom)
uses_numpy = _build(generator=_UsesNumpy)
stays_in_evaluation = _build(generator=_StaysInEvaluation)
counts = _build(generator=_Counts)


# Discriminators


class _Squashed(DotDiscriminator):
    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        return super().forward(samples).sigmoid()


class _Normalised(DotDiscriminator):
    """Nothing wrong: its weights are computed from others."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.layers[3] = spectral_norm(self.layers[3])


class _Recurrent(DotDiscriminator):
    """Nothing wrong: its last layer gives a tuple, and its logits happen to be small."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.layers = nn.GRU(2, 1)

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(samples[None])[0].flatten()  # (1, B, 2) -> (1, B, 1) -> (B,)


class _NormalisedAndSquashed(_Normalised):
    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        return super().forward(samples).tanh()


class _Squeezed(DotDiscriminator):
    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(samples).squeeze()


class _Unconnected(DotDiscriminator):
    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.unused = nn.Parameter(torch.ones(3))


class _HidesAParameter(DotDiscriminator):
    """Leaves out a scale that is never trained."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.scale = nn.Parameter(torch.ones(()), requires_grad=False)

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.scale * super().forward(samples)

    def state_dict(self, *arguments: Any, **how: Any) -> dict[str, Tensor]:
        state = super().state_dict(*arguments, **how)
        return {name: tensor for name, tensor in state.items() if "scale" not in name}


class _BreaksInBf16(DotDiscriminator):
    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        logits = super().forward(samples)
        return logits / 0 if logits.dtype == torch.bfloat16 else logits


recurrent = _build(discriminator=_Recurrent)
normalised = _build(discriminator=_Normalised)
normalised_and_squashed = _build(discriminator=_NormalisedAndSquashed)
squashed = _build(discriminator=_Squashed)
squeezed = _build(discriminator=_Squeezed)
unconnected = _build(discriminator=_Unconnected)
hides_a_parameter = _build(discriminator=_HidesAParameter)
breaks_in_bf16 = _build(discriminator=_BreaksInBf16)


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


meddles = _build(trainer=_Meddles)
logs_noise = _build(trainer=_LogsNoise)
remembers = _build(trainer=_Remembers)
climbs = _build(trainer=_Climbs)

"""Recipes that are unusual, most with nothing wrong, as the functions that build them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from dots.networks import DotDiscriminator, DotGenerator
from torch import Tensor, nn

from aigc_core import (
    AdversarialTrainer,
    Batch,
    Discriminator,
    Generator,
    LatentGenerator,
    OptimizerConfig,
    Phase,
    RecipeContext,
    StepState,
    Trainer,
)
from aigc_core.losses import adversarial_loss

_ADAM = OptimizerConfig(lr=0.01)


class _LazilyRegularised(AdversarialTrainer):
    """R1 (Mescheder et al. 2018) in every sixteenth step: it does not reach the last bias."""

    def phases(self) -> Sequence[Phase]:
        penalty = Phase("r1", ("discriminator",), self._r1, _ADAM, every=16)
        return [*super().phases(), penalty]

    def _r1(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        real = batch["samples"].detach().requires_grad_()
        logits = self._discriminator(real)
        (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
        return {"penalty": gradient.square().sum(1).mean()}


class _Experts(DotDiscriminator):
    """Dots on the far left have a network of their own; the first batch has none of them."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.experts = nn.ModuleList(nn.Linear(2, 1) for _ in range(3))

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        logits = super().forward(samples)
        chosen = (samples[:, 0] < 0).long() + (samples[:, 0] < -0.7).long()  # (B,) -> 0, 1 or 2
        for number, expert in enumerate(self.experts):
            where = chosen == number
            if where.any():
                logits = logits.index_add(0, where.nonzero()[:, 0], expert(samples[where])[:, 0])
        return logits


class _BeginsAtZero(DotGenerator):
    """Its last layer gives zeros until it is trained."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        nn.init.zeros_(self.layers[3].weight)
        nn.init.zeros_(self.layers[3].bias)


def lazily_regularised(context: RecipeContext) -> Trainer:
    width = context.model.width
    return _LazilyRegularised(DotGenerator(width), DotDiscriminator(width), context.trainer)


def experts(context: RecipeContext) -> Trainer:
    width = context.model.width
    return AdversarialTrainer(DotGenerator(width), _Experts(width), context.trainer)


def begins_at_zero(context: RecipeContext) -> Trainer:
    width = context.model.width
    return AdversarialTrainer(_BeginsAtZero(width), DotDiscriminator(width), context.trainer)


class _Conditional(Discriminator):
    """Needs to know what the samples should be."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.classes = nn.Embedding(classes, width)
        self.layers = nn.Sequential(
            nn.Linear(2 + width, width), nn.LeakyReLU(0.2), nn.Linear(width, 1)
        )

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        assert condition is not None
        known = self.classes(condition)
        return self.layers(torch.cat([samples, known], dim=1)).flatten()


class _Conditioned(AdversarialTrainer):
    """Both are reported a class, the discriminator by the argument's name."""

    def phases(self) -> Sequence[Phase]:
        discriminator, generator = super().phases()
        return [
            replace(discriminator, loss=self._judge_both),
            replace(generator, loss=self._judge_fakes),
        ]

    def _judge(self, samples: Tensor, labels: Tensor) -> Tensor:
        return self._discriminator(samples, condition=labels).float()

    def _drawn(self, batch: Batch, state: StepState) -> Tensor:
        labels = batch["labels"]
        latents = self._generator.sample_latents(len(labels), rng=state.rng)
        return self._generator(latents, labels)

    def _judge_both(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        labels, fakes = batch["labels"], self._drawn(batch, state).detach()
        loss = adversarial_loss("non-saturating")
        return {
            "adversarial": loss.discriminator(
                self._judge(batch["samples"], labels), self._judge(fakes, labels)
            )
        }

    def _judge_fakes(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        logits = self._judge(self._drawn(batch, state), batch["labels"])
        return {"adversarial": adversarial_loss("non-saturating").generator(logits)}


class _ByAnotherName(_Conditional):
    """Judged by a method of its own, which also tells the class; never by ``forward``."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__(width, classes)
        self.reported = nn.Linear(2, classes)

    def judge(self, samples: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return super().forward(samples, condition), self.reported(samples)


class _Judging(_Conditioned):
    def _judge(self, samples: Tensor, labels: Tensor) -> Tensor:
        logits, classes = self._discriminator.judge(samples, labels)
        return logits + classes.logsumexp(1)


def conditional(context: RecipeContext) -> Trainer:
    width = context.model.width
    judge = _Conditional(width, context.label_count)
    return _Conditioned(DotGenerator(width), judge, context.trainer)


def judged_by_another_name(context: RecipeContext) -> Trainer:
    width = context.model.width
    judge = _ByAnotherName(width, context.label_count)
    return _Judging(DotGenerator(width), judge, context.trainer)


class _OfLatents(Discriminator):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, width), nn.LeakyReLU(0.2), nn.Linear(width, 1))

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(samples).flatten()  # (B, 4) -> (B,)


class _NeverCalled(_OfLatents):
    def of_latents(self, latents: Tensor) -> Tensor:
        return self.layers(latents).flatten()


class _Decoder(LatentGenerator):
    latent_shape = (4,)

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, width), nn.LeakyReLU(0.2), nn.Linear(width, 2))

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(latents).tanh()


class _AutoencoderTrainer(Trainer):
    """An adversarial autoencoder (Makhzani et al. 2015): the discriminator judges latents."""

    def __init__(self, width: int, discriminator: _OfLatents, call: Any) -> None:
        self._encoder = nn.Sequential(nn.Linear(2, width), nn.LeakyReLU(0.2), nn.Linear(width, 4))
        self._decoder = _Decoder(width)
        self._discriminator = discriminator
        self._call = call
        self._game = adversarial_loss("non-saturating")

    def networks(self) -> Mapping[str, nn.Module]:
        return {
            "encoder": self._encoder,
            "decoder": self._decoder,
            "discriminator": self._discriminator,
        }

    def generator(self) -> Generator:
        return self._decoder

    def phases(self) -> Sequence[Phase]:
        return [
            Phase("autoencoder", ("encoder", "decoder"), self._reconstruct, _ADAM),
            Phase("discriminator", ("discriminator",), self._discriminate, _ADAM),
            Phase("encoder", ("encoder",), self._deceive, _ADAM),
        ]

    def _reconstruct(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        real = batch["samples"]
        return {"squares": (self._decoder(self._encoder(real)) - real).square().mean()}

    def _discriminate(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        real = batch["samples"]
        latents = self._encoder(real).detach()
        drawn = self._decoder.sample_latents(len(real), rng=state.rng)
        return {"game": self._game.discriminator(self._call(drawn), self._call(latents))}

    def _deceive(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        return {"game": self._game.generator(self._call(self._encoder(batch["samples"])))}


def of_latents(context: RecipeContext) -> Trainer:
    discriminator = _OfLatents(context.model.width)
    return _AutoencoderTrainer(context.model.width, discriminator, discriminator)


def of_latents_never_called(context: RecipeContext) -> Trainer:
    discriminator = _NeverCalled(context.model.width)
    return _AutoencoderTrainer(context.model.width, discriminator, discriminator.of_latents)


class _AskedForClasses(DotGenerator):
    """Must be reported which class to draw."""

    label_count = 4

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.classes = nn.Embedding(4, 4)

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        assert condition is not None
        assert condition.dtype == torch.int64
        return super().forward(latents + self.classes(condition))


def asked_for_classes(context: RecipeContext) -> Trainer:
    width = context.model.width
    return _Conditioned(_AskedForClasses(width), DotDiscriminator(width), context.trainer)

"""The adversarial game: a discriminator's phase, then the generator's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from aigc_core.interfaces.discriminator import Discriminator
from aigc_core.interfaces.generator import LatentGenerator
from aigc_core.interfaces.trainer import Batch, Phase, StepState, Trainer
from aigc_core.losses import adversarial_loss, gradient_penalty
from aigc_core.trainers.config import AdversarialConfig


class AdversarialTrainer(Trainer):
    """Trains any latent generator against any discriminator (Goodfellow et al. 2014).

    The fakes that the discriminator learns from are the ones the generator then learns from, as in
    algorithm 1 with one draw of latents: one pass through the generator per step instead of two.
    """

    def __init__(
        self, generator: LatentGenerator, discriminator: Discriminator, config: AdversarialConfig
    ) -> None:
        self._generator = generator
        self._discriminator = discriminator
        self._config = config
        self._loss = adversarial_loss(config.loss)

    def networks(self) -> Mapping[str, nn.Module]:
        return {"generator": self._generator, "discriminator": self._discriminator}

    def generator(self) -> LatentGenerator:
        return self._generator

    def phases(self) -> Sequence[Phase]:
        config = self._config
        return [
            Phase(
                "discriminator",
                ("discriminator",),
                self._discriminator_loss,
                config.discriminator,
                repeats=config.critic_steps,
            ),
            Phase("generator", ("generator",), self._generator_loss, config.generator),
        ]

    def _fakes(self, count: int, state: StepState) -> Tensor:
        """Draw fakes once for all phases that see this batch: (count, *sample_shape)."""
        if "fakes" not in state.scratch:
            latents = self._generator.sample_latents(count, rng=state.rng)
            # The generator's phase runs once a step, on repeat 0; further fakes need no graph.
            with torch.set_grad_enabled(state.repeat == 0):
                state.scratch["fakes"] = self._generator(latents)
        fakes: Tensor = state.scratch["fakes"]
        return fakes

    def _discriminator_loss(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        real = batch["samples"]  # (B, *sample_shape)
        fakes = self._fakes(len(real), state).detach()  # (B, *sample_shape)
        real_logits = self._discriminator(real).float()  # (B,)
        fake_logits = self._discriminator(fakes).float()  # (B,)
        state.log("logits/real", real_logits.detach().mean())
        state.log("logits/fake", fake_logits.detach().mean())
        terms = {"adversarial": self._loss.discriminator(real_logits, fake_logits)}
        if self._config.gradient_penalty:
            penalty = gradient_penalty(self._discriminator, real, fakes, state.rand(len(real)))
            terms["gradient_penalty"] = self._config.gradient_penalty * penalty
        return terms

    def _generator_loss(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        fakes = self._fakes(len(batch["samples"]), state)
        return {"adversarial": self._loss.generator(self._discriminator(fakes).float())}

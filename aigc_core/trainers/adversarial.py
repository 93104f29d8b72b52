"""The adversarial game: a discriminator's phase, then the generator's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from aigc_core.errors import ConfigError
from aigc_core.interfaces.discriminator import ClassifyingDiscriminator, Discriminator
from aigc_core.interfaces.generator import LatentGenerator
from aigc_core.interfaces.trainer import Batch, Phase, StepState, Trainer
from aigc_core.losses import adversarial_loss, classification, gradient_penalty, r1_penalty
from aigc_core.trainers.config import AdversarialConfig


class AdversarialTrainer(Trainer):
    """Trains any latent generator against any discriminator (Goodfellow et al. 2014).

    Discriminator and generator learn from the same fakes, as in algorithm 1 with one draw of
    latents: one pass through the generator per step instead of two.
    """

    def __init__(
        self, generator: LatentGenerator, discriminator: Discriminator, config: AdversarialConfig
    ) -> None:
        """Take the two networks.

        Raises:
            ConfigError: a gradient penalty is set and the discriminator has batch normalisation.
        """
        if config.gradient_penalty or config.r1_penalty:
            _check_judges_alone(discriminator)
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
                privacy=config.privacy,
            ),
            Phase("generator", ("generator",), self._generator_loss, config.generator),
        ]

    def _labels(self, batch: Batch) -> Tensor | None:
        """Return the labels that condition the networks, for real and fake alike: int64 (B,)."""
        return batch["labels"] if self._generator.label_count else None

    def _fakes(
        self, count: int, labels: Tensor | None, state: StepState, *, with_graph: bool
    ) -> Tensor:
        """Draw a batch's fakes once for all phases: (count, *sample_shape).

        They are drawn again, from the same latents, only if the graph is needed and was not kept.
        """
        scratch = state.scratch
        if "fakes" not in scratch or (with_graph and not scratch["fakes"].requires_grad):
            if "latents" not in scratch:
                scratch["latents"] = state.latents(self._generator, count)
            with torch.set_grad_enabled(with_graph):
                scratch["fakes"] = self._generator(scratch["latents"], labels)
        fakes: Tensor = scratch["fakes"]
        return fakes

    def _discriminator_loss(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        real = self._generator.represent(batch["samples"])
        labels = self._labels(batch)
        # The generator's phase follows on repeat 0 and needs the graph. With a split batch, every
        # part's graph would have to be kept until then: the very memory that splitting saves.
        keep_graph = state.repeat == 0 and state.parts == 1
        fakes = self._fakes(len(real), labels, state, with_graph=keep_graph).detach()
        real_logits, real_classes = self._judge(real, labels)  # (B,), (B, classes)
        fake_logits, fake_classes = self._judge(fakes, labels)
        state.log("logits/real", real_logits.detach().mean())
        state.log("logits/fake", fake_logits.detach().mean())
        terms = {"adversarial": self._loss.discriminator(real_logits, fake_logits)}
        if real_classes is not None and fake_classes is not None and labels is not None:
            class_loss = classification(real_classes, labels) + classification(fake_classes, labels)
            terms["classification"] = self._config.classification * class_loss
        config = self._config
        if config.r1_penalty and state.repeat == 0 and state.step % config.r1_every == 0:
            penalty = r1_penalty(lambda samples: self._discriminator(samples, labels), real)
            terms["r1_penalty"] = config.r1_penalty * config.r1_every * penalty
        if self._config.gradient_penalty:
            penalty = gradient_penalty(
                lambda samples: self._discriminator(samples, labels),
                real,
                fakes,
                state.rand(len(real)),
            )
            terms["gradient_penalty"] = self._config.gradient_penalty * penalty
        return terms

    def _generator_loss(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        labels = self._labels(batch)
        fakes = self._fakes(len(batch["samples"]), labels, state, with_graph=True)
        logits, classes = self._judge(fakes, labels)
        terms = {"adversarial": self._loss.generator(logits)}
        if classes is not None and labels is not None:
            terms["classification"] = self._config.classification * classification(classes, labels)
        return terms

    def _judge(self, samples: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return logits (B,) and, if the discriminator classifies, class logits (B, classes)."""
        if labels is not None and isinstance(self._discriminator, ClassifyingDiscriminator):
            logits, classes = self._discriminator.judge(samples, labels)
            return logits.float(), classes
        return self._discriminator(samples, labels).float(), None


def _check_judges_alone(discriminator: Discriminator) -> None:
    """Refuse batch normalisation: through it, a logit's gradient reaches other samples."""
    if any(isinstance(module, _BatchNorm) for module in discriminator.modules()):
        raise ConfigError(
            "trainer.gradient_penalty and trainer.r1_penalty need a discriminator without batch "
            "normalisation (Gulrajani et al. 2017, section 4). Where the recipe has the setting "
            "model.discriminator_normalization, set it to layer or none."
        )

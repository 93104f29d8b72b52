"""The variational autoencoder: one phase that trains encoder and decoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from aigc_core.interfaces.generator import LatentGenerator
from aigc_core.interfaces.trainer import Batch, Phase, StepState, Trainer
from aigc_core.losses import gaussian_kl, reconstruction_loss, reconstruction_of
from aigc_core.trainers.config import VariationalConfig


class Encoder(nn.Module, ABC):
    """Maps samples to the approximate posterior over their latents."""

    @abstractmethod
    def forward(self, samples: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance, each ``(B, *latent_shape)``, of samples ``(B, …)``."""


class Decoder(LatentGenerator):
    """Maps latents to samples; sampling it is generating."""

    @abstractmethod
    def raw(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        """Map latents ``(B, *latent_shape)`` to ``(B, *sample_shape)``, without an activation."""

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return reconstruction_of(self.raw(latents, condition))


class VariationalTrainer(Trainer):
    """Maximises the evidence lower bound (Kingma & Welling 2014, equations 3 and 10).

    The loss is -ELBO in nats per sample if beta is 1, free_bits is 0 and the reconstruction is a
    likelihood of the data; other settings give that up for their own purpose.
    """

    def __init__(self, encoder: Encoder, decoder: Decoder, config: VariationalConfig) -> None:
        self._encoder = encoder
        self._decoder = decoder
        self._config = config
        self._reconstruction = reconstruction_loss(config.reconstruction)

    def networks(self) -> Mapping[str, nn.Module]:
        return {"encoder": self._encoder, "decoder": self._decoder}

    def generator(self) -> Decoder:
        return self._decoder

    def phases(self) -> Sequence[Phase]:
        both = ("encoder", "decoder")
        config = self._config
        return [Phase("autoencoder", both, self._loss, config.optimizer, privacy=config.privacy)]

    def validation(self) -> Callable[[Batch, StepState], Mapping[str, Tensor]]:
        return self._validate

    @torch.no_grad()
    def reconstruct(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        """Encode samples ``(B, *sample_shape)`` and decode the posterior's mean."""
        mean, _ = self._encoder(self._decoder.represent(samples), condition)
        return self._decoder.restore(self._decoder(mean, condition))

    def _terms(self, batch: Batch, state: StepState) -> tuple[Tensor, Tensor]:
        """Return the reconstruction's nats per sample, (), and the KL per dimension, (B, …)."""
        samples = self._decoder.represent(batch["samples"])
        if self._config.binarize:  # dynamically, anew in every pass: Salakhutdinov & Murray 2008
            bright = state.rand(*samples.shape) < (samples + 1) / 2
            samples = bright.to(samples.dtype) * 2 - 1
        labels = batch["labels"] if self._decoder.label_count else None
        mean, log_variance = self._encoder(samples, labels)  # (B, *latent_shape) each
        noise = state.randn(*mean.shape)
        latents = mean.float() + (0.5 * log_variance.float()).exp() * noise
        raw = self._decoder.raw(latents, labels)  # (B, *sample_shape)
        return self._reconstruction(raw, samples), gaussian_kl(mean, log_variance)

    def _loss(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        reconstruction, divergence = self._terms(batch, state)
        state.log("kl", divergence.detach().flatten(1).sum(1).mean())
        # Kingma et al. 2016, "Improved Variational Inference with Inverse Autoregressive Flow",
        # equation 15: below this many nats, a dimension's KL costs nothing.
        held = divergence.mean(0).clamp(min=self._config.free_bits).sum()
        return {"reconstruction": reconstruction, "kl": self._config.beta * held}

    def _validate(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        reconstruction, divergence = self._terms(batch, state)
        kl = divergence.flatten(1).sum(1).mean()
        return {"loss": reconstruction + kl, "reconstruction": reconstruction, "kl": kl}

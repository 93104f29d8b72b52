"""The networks that produce samples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn


class Generator(nn.Module, ABC):
    """A network that can produce samples.

    ``sample_chunk`` is how many samples are always computed together. A network's results can
    differ in the last bit between batch sizes; with a fixed size, sample *i* of a seed is the same
    bytes however many are asked for. Choose it by cost: many for a network that samples in one
    pass, one for a network that samples step by step.
    """

    sample_chunk: ClassVar[int] = 64
    label_count: int = 0
    """How many classes it can be conditioned on; 0 for an unconditional generator. A conditional
    one takes int64 labels ``(B,)`` as its ``condition``."""

    @abstractmethod
    def sample(
        self, count: int, *, rng: torch.Generator, condition: Tensor | None = None, **controls: Any
    ) -> Tensor:
        """Draw ``count`` samples.

        Args:
            count: how many; at least 1.
            rng: the only source of randomness, on the network's device.
            condition: what to generate, ``(count, ...)``, or None for an unconditional network.
            **controls: sampling options of this network, such as a temperature.

        Returns:
            ``(count, *sample_shape)`` in the model's range. The engine calls it in evaluation
            mode and without gradients.
        """


class LatentGenerator(Generator):
    """A generator that maps latents to samples in one pass: the generator of a GAN or a VAE.

    Subclasses set ``latent_shape`` and implement ``forward``. One that works in a form other than
    the model's, such as on spectrograms of waveforms, also implements ``represent`` and
    ``restore``: trainers compare samples in that form, and drawn samples are restored from it.
    """

    latent_shape: tuple[int, ...]

    @abstractmethod
    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        """Map latents ``(B, *latent_shape)`` to samples ``(B, *sample_shape)``, as represented."""

    def represent(self, samples: Tensor) -> Tensor:
        """Map samples ``(B, *sample_shape)`` to the form of ``forward``; by default the same."""
        return samples

    def restore(self, represented: Tensor) -> Tensor:
        """Map outputs of ``forward`` to samples ``(B, *sample_shape)``; by default the same.

        Called without gradients; the same input must give the same samples.
        """
        return represented

    def sample_latents(self, count: int, *, rng: torch.Generator) -> Tensor:
        """Draw ``(count, *latent_shape)`` float32 latents from a standard normal."""
        return torch.randn((count, *self.latent_shape), generator=rng, device=rng.device)

    def sample(
        self, count: int, *, rng: torch.Generator, condition: Tensor | None = None, **controls: Any
    ) -> Tensor:
        if controls:
            raise ValueError(f"unknown sampling options: {', '.join(sorted(controls))}")
        return self.restore(self(self.sample_latents(count, rng=rng), condition))

"""The networks that judge samples."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Discriminator(nn.Module, ABC):
    """A network that scores samples: a discriminator, or the critic of a Wasserstein GAN."""

    @abstractmethod
    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        """Score ``(B, *sample_shape)`` samples.

        Returns:
            Raw logits of shape ``(B,)``: no sigmoid, so that the losses stay numerically safe.
        """


class ClassifyingDiscriminator(Discriminator):
    """A discriminator that also predicts the class: the auxiliary classifier of an AC-GAN."""

    @abstractmethod
    def judge(self, samples: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Score ``(B, *sample_shape)`` samples in one pass.

        Returns:
            Raw logits ``(B,)``, as from ``forward``, and class logits ``(B, classes)``.
        """

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

"""Tokens as numbers that a flow can carry."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from aigc_core.interfaces.modality import Representation


class Bits(Representation):
    """Tokens ``(B, *S)`` to their binary digits ``(B, bits, *S)``, as -1 and 1, and back.

    Chen et al. 2023, "Analog Bits: Generating Discrete Data using Diffusion Models with
    Self-Conditioning". What is no token after rounding becomes the last one.
    """

    def __init__(self, vocabulary_size: int, shape: Sequence[int]) -> None:
        """Take how many tokens there are, and S."""
        super().__init__()
        self.vocabulary_size = vocabulary_size
        self.bits = max(1, (vocabulary_size - 1).bit_length())
        self.shape = (self.bits, *shape)

    def _powers(self, like: Tensor) -> Tensor:
        powers = 2 ** torch.arange(self.bits, device=like.device)
        return powers.view(-1, *[1] * (len(self.shape) - 1))  # (bits, 1, …)

    def forward(self, samples: Tensor) -> Tensor:
        digits = samples.long().unsqueeze(1).bitwise_and(self._powers(samples))
        return (digits > 0).float().mul(2).sub(1)

    def restore(self, represented: Tensor) -> Tensor:
        tokens = ((represented > 0) * self._powers(represented)).sum(1)
        return tokens.clamp(max=self.vocabulary_size - 1)

"""Vectors of what a network is conditioned on: a time, a sequence of tokens."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from aigc_core.networks.transformer import Block


class TimeEmbedding(nn.Module):
    """Times ``(B,)`` in [0, 1] to vectors ``(B, size)``.

    Sines and cosines of frequencies from 1 to 1000 radians (Vaswani et al. 2017, section 3.5, with
    continuous positions), then two layers.
    """

    def __init__(self, size: int) -> None:
        """Make the layers; ``size`` is even."""
        super().__init__()
        self.size = size
        self.layers = nn.Sequential(nn.Linear(size, size), nn.SiLU(), nn.Linear(size, size))

    def forward(self, times: Tensor) -> Tensor:
        steps = torch.arange(self.size // 2, device=times.device)
        frequencies = torch.exp(steps * (math.log(1000) / (self.size // 2 - 1)))  # (size / 2,)
        angles = times.float()[:, None] * frequencies  # (B, size / 2)
        vectors: Tensor = self.layers(torch.cat([angles.sin(), angles.cos()], dim=1))
        return vectors


class SequenceEncoder(nn.Module):
    """Tokens ``(B, T)`` to vectors ``(B, T, width)``: a transformer in which all see all.

    A token that stands for nothing, such as one that fills a text up, is a token like others.
    """

    def __init__(
        self, vocabulary_size: int, length: int, width: int, *, layers: int, heads: int = 4
    ) -> None:
        """Make the layers.

        Args:
            vocabulary_size: tokens are from 0 to this, exclusive.
            length: T, at most.
            width: of the vectors; divided by ``heads``.
            layers: how many blocks.
            heads: of attention.
        """
        super().__init__()
        self.token_embedding = nn.Embedding(vocabulary_size, width)
        self.position_embedding = nn.Parameter(torch.randn(length, width) * 0.02)
        self.blocks = nn.Sequential(*(Block(width, heads, causal=False) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        nn.init.normal_(self.token_embedding.weight, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.token_embedding(tokens) + self.position_embedding[: tokens.shape[1]]
        encoded: Tensor = self.norm(self.blocks(x))  # (B, T, W)
        return encoded

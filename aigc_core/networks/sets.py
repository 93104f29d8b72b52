"""A network for sets: it does not care for the order of their members, nor for their number."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from aigc_core.networks.transformer import Block, CrossBlock

_OCTAVES = 4


class SetLayer(nn.Module):
    """Tokens read a set's members and then each other; the members read the tokens.

    Attention through a few tokens is that of Lee et al. 2019, "Set Transformer", section 3.1: its
    work grows with the number of members, not with its square. Here the tokens go on from layer to
    layer, as in Jabri et al. 2023, "Scalable Adaptive Computation for Iterative Generation".
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.read = CrossBlock(width, heads)
        self.think = Block(width, heads, causal=False)
        self.write = CrossBlock(width, heads)

    def forward(self, members: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        return self.rest(members, self.read(tokens, members))

    def rest(self, members: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Do what follows the reading."""
        tokens = self.think(tokens)
        return self.write(members, tokens), tokens


class SetNetwork(nn.Module):
    """Sets ``(B, N, C)`` and vectors ``(B, E)`` to sets ``(B, N, C')``, member by member.

    Members that change places change places in the result, and nothing else changes. N may be
    another one in each call. The last layer starts at zero.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        *,
        width: int,
        layers: int,
        tokens: int,
        embedding_size: int,
        heads: int = 4,
    ) -> None:
        """Make the layers.

        Args:
            channels: C, values of a member, about in [-1, 1]. The network also sees sines and
                cosines of them, so that it can tell small differences (Tancik et al. 2020).
            out_channels: C'.
            width: of members and tokens inside; divided by ``heads``.
            layers: how often tokens read the set and the set reads them; at least 1.
            tokens: how many.
            embedding_size: E.
            heads: of attention.
        """
        super().__init__()
        self.member_in = nn.Linear(channels * (1 + 2 * _OCTAVES), width)
        self.tokens = nn.Parameter(torch.randn(tokens, width) * 0.02)
        self.vector_in = nn.Linear(embedding_size, 2 * width)
        self.layers = nn.ModuleList(SetLayer(width, heads) for _ in range(layers))
        self.vector_out = nn.Linear(embedding_size, 2 * width)
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.member_out = nn.Linear(width, out_channels)
        nn.init.zeros_(self.member_out.weight)
        nn.init.zeros_(self.member_out.bias)

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:
        tokens, members = self.encode(x, vector)
        return self.decode(tokens, members, vector)

    def encode(self, x: Tensor, vector: Tensor) -> tuple[Tensor, Tensor]:
        """Return tokens ``(B, T, W)`` after half of the layers, and members ``(B, N, W)``."""
        to_members, to_tokens = self.vector_in(vector)[:, None].chunk(2, dim=2)  # (B, 1, W) each
        members = self.member_in(_waves(x)) + to_members
        tokens = self.tokens + to_tokens  # (T, W) + (B, 1, W) -> (B, T, W)
        middle = len(self.layers) // 2
        for layer in self.layers[:middle]:
            members, tokens = layer(members, tokens)
        return self._layer(middle).read(tokens, members), members

    def decode(self, tokens: Tensor, members: Tensor, vector: Tensor) -> Tensor:
        """Return the set ``(B, N, C')`` of what ``encode`` gave; tokens may have been changed."""
        middle = len(self.layers) // 2
        members, tokens = self._layer(middle).rest(members, tokens)
        for layer in self.layers[middle + 1 :]:
            members, tokens = layer(members, tokens)
        scale, shift = self.vector_out(vector)[:, None].chunk(2, dim=2)
        out: Tensor = self.member_out(self.norm(members) * (1 + scale) + shift)
        return out

    def _layer(self, number: int) -> SetLayer:
        layer = self.layers[number]
        assert isinstance(layer, SetLayer)
        return layer


def _waves(x: Tensor) -> Tensor:
    """Return values, and their sines and cosines of octaves: ``(B, N, C)`` to ``(B, N, 9 C)``."""
    octaves = (2.0 ** torch.arange(_OCTAVES, device=x.device)) * (math.pi / 2)
    angles = (x[..., None] * octaves).flatten(2)  # (B, N, C * octaves)
    return torch.cat([x, angles.sin(), angles.cos()], dim=2)

"""The U-Net of diffusion models, for signals of one, two or three dimensions.

Ronneberger et al. 2015; with residual blocks that a vector modulates and attention where the signal
is small, as in Dhariwal & Nichol 2021, "Diffusion Models Beat GANs on Image Synthesis".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv3d, interpolate, layer_norm, pad, silu

from aigc_core.networks.transformer import attention


class _Conv3d(nn.Conv3d):
    """A convolution that fills up a depth of 2 by itself.

    On CPUs, for the weights' gradient of a kernel of 3 in bfloat16, oneDNN 3.10 (PyTorch 2.11)
    otherwise reads memory that nothing was written to.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2] != 2 or self.kernel_size[0] != 3:
            return super().forward(x)
        filled = pad(x, (0, 0, 0, 0, 1, 1))  # (B, C, 2, H, W) -> (B, C, 4, H, W)
        return conv3d(filled, self.weight, self.bias, self.stride, (0, 1, 1))


CONVOLUTIONS: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: _Conv3d}


class ChannelNorm(nn.Module):
    """Layer normalisation of the channels at each place of ``(B, C, *S)`` (Ba et al. 2016).

    Group normalisation is three times as slow on CPUs, where channels lie last.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        last = x.movedim(1, -1)  # (B, C, *S) -> (B, *S, C)
        return layer_norm(last, self.weight.shape, self.weight, self.bias).movedim(-1, 1)


class ResidualBlock(nn.Module):
    """``x + convolutions(x)``, modulated by a vector: ``(B, C, *S)`` to ``(B, C', *S)``.

    The vector gives the second norm's scale and shift (FiLM: Perez et al. 2018), and how much the
    shift rises along each of the S, so that a vector can say what should be where. It starts as
    the identity, if C is C'.
    """

    def __init__(self, dims: int, before: int, after: int, embedding_size: int) -> None:
        """Make the layers.

        Args:
            dims: 1, 2 or 3: how many S are.
            before: C.
            after: C'.
            embedding_size: of the vector.
        """
        super().__init__()
        conv = CONVOLUTIONS[dims]
        self.norm_in = ChannelNorm(before)
        self.conv_in = conv(before, after, 3, padding=1)
        self.modulation = nn.Linear(embedding_size, (2 + dims) * after)
        self.norm_out = ChannelNorm(after)
        self.conv_out = conv(after, after, 3, padding=1)
        self.skip = conv(before, after, 1) if before != after else nn.Identity()
        nn.init.zeros_(self.conv_out.weight)
        nn.init.zeros_(self.conv_out.bias)

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:
        h = self.conv_in(silu(self.norm_in(x)))
        dims = x.dim() - 2
        modulation = self.modulation(vector)  # (B, E) -> (B, (2 + dims) C')
        modulation = modulation.view(*modulation.shape, *[1] * dims)
        scale, shift, *slopes = modulation.chunk(2 + dims, dim=1)
        for axis, slope in enumerate(slopes, start=2):
            shift = shift + slope * _coordinate(x, axis)
        h = self.conv_out(silu(self.norm_out(h) * (1 + scale) + shift))
        out: Tensor = self.skip(x) + h
        return out


class SpatialAttention(nn.Module):
    """``x + attention(x)``: every place of ``(B, C, *S)`` sees all places, and a context."""

    def __init__(self, channels: int, heads: int, context_size: int | None) -> None:
        """Make the layers; ``context_size`` is None without a context."""
        super().__init__()
        self.heads = heads
        self.norm = ChannelNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.context_kv = nn.Linear(context_size, 2 * channels) if context_size else None
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        places = self.norm(x).flatten(2).transpose(1, 2)  # (B, C, *S) -> (B, P, C)
        queries, keys, values = self._split(self.qkv(places), 3)  # (B, H, P, D) each
        if self.context_kv is not None and context is not None:
            more_keys, more_values = self._split(self.context_kv(context), 2)  # (B, H, T, D)
            keys, values = torch.cat([keys, more_keys], 2), torch.cat([values, more_values], 2)
        attended = attention(queries, keys, values).transpose(1, 2).flatten(2)  # (B, P, C)
        out: Tensor = x + self.out(attended).transpose(1, 2).reshape(x.shape)
        return out

    def _split(self, packed: Tensor, parts: int) -> tuple[Tensor, ...]:
        heads = packed.view(*packed.shape[:2], parts, self.heads, -1).permute(2, 0, 3, 1, 4)
        return heads.unbind()


class _Level(nn.Module):
    """A residual block, and attention after it where there is some."""

    def __init__(self, block: ResidualBlock, attention: SpatialAttention | None) -> None:
        super().__init__()
        self.block = block
        self.attention = attention

    def forward(self, x: Tensor, vector: Tensor, context: Tensor | None) -> Tensor:
        x = self.block(x, vector)
        return x if self.attention is None else self.attention(x, context)


class UNet(nn.Module):
    """Signals ``(B, C, *S)`` and vectors ``(B, E)`` to signals ``(B, C', *S)``.

    Every level but the first halves S, of which each must be divisible by ``2 ** (levels - 1)``.
    The first layer also sees where a place is (Liu et al. 2018, "An Intriguing Failing of
    Convolutional Neural Networks and the CoordConv Solution"). The last layer starts at zero.
    """

    def __init__(
        self,
        dims: int,
        channels: int,
        out_channels: int,
        *,
        widths: Sequence[int],
        blocks: int = 2,
        attention: Sequence[bool] = (),
        embedding_size: int,
        context_size: int | None = None,
        heads: int = 4,
    ) -> None:
        """Make the layers.

        Args:
            dims: 1, 2 or 3: how many S are.
            channels: C.
            out_channels: C'.
            widths: channels of each level, from the largest S to the smallest.
            blocks: residual blocks of a level, on the way down; one more on the way up.
            attention: whether a level's places see each other; for all levels that it leaves out,
                they do not.
            embedding_size: E.
            context_size: width of the vectors ``(B, T, context_size)`` that attention also sees.
            heads: of attention; divides the widths of levels that have it.
        """
        super().__init__()
        self.dims = dims
        conv = CONVOLUTIONS[dims]
        sees = [*attention, *[False] * (len(widths) - len(attention))]

        def level(before: int, after: int, number: int) -> _Level:
            seeing = SpatialAttention(after, heads, context_size) if sees[number] else None
            return _Level(ResidualBlock(dims, before, after, embedding_size), seeing)

        self.conv_in = conv(channels + dims, widths[0], 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        self.shrink, self.grow = nn.ModuleList(), nn.ModuleList()
        kept, now = [widths[0]], widths[0]
        for number, width in enumerate(widths):
            if number:
                self.shrink.append(conv(now, now, 3, stride=2, padding=1))
                kept.append(now)
            for _ in range(blocks):
                self.down.append(level(now, width, number))
                now = width
                kept.append(now)
        self.middle = level(now, now, len(widths) - 1)
        for number, width in reversed(list(enumerate(widths))):
            for _ in range(blocks + 1):
                self.up.append(level(now + kept.pop(), width, number))
                now = width
            if number:
                self.grow.append(conv(now, now, 3, padding=1))
        self.blocks = blocks
        self.norm = ChannelNorm(now)
        self.conv_out = conv(now, out_channels, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        nn.init.zeros_(self.conv_out.bias)

    def forward(self, x: Tensor, vector: Tensor, context: Tensor | None = None) -> Tensor:
        x, kept = self.encode(x, vector, context)
        return self.decode(x, kept, vector, context)

    def encode(
        self, x: Tensor, vector: Tensor, context: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the smallest level ``(B, widths[-1], *S')``, and what ``decode`` needs besides."""
        x = self.conv_in(torch.cat([x, _coordinates(x)], dim=1))
        kept = [x]
        for number, block in enumerate(self.down):
            if number and number % self.blocks == 0:
                x = self.shrink[number // self.blocks - 1](x)
                kept.append(x)
            x = block(x, vector, context)
            kept.append(x)
        return self.middle(x, vector, context), kept

    def decode(
        self, x: Tensor, kept: Sequence[Tensor], vector: Tensor, context: Tensor | None = None
    ) -> Tensor:
        """Return signals ``(B, C', *S)`` of the smallest level, and of what ``encode`` kept."""
        kept = list(kept)
        for number, block in enumerate(self.up):
            if number and number % (self.blocks + 1) == 0:
                x = interpolate(x, scale_factor=2.0, mode="nearest")
                x = self.grow[number // (self.blocks + 1) - 1](x)
            x = block(torch.cat([x, kept.pop()], dim=1), vector, context)
        out: Tensor = self.conv_out(silu(self.norm(x)))
        return out


def _coordinates(x: Tensor) -> Tensor:
    """Return where places of ``(B, C, *S)`` are, ``(B, dims, *S)``: -1 to 1 along each side."""
    sides = [_coordinate(x, axis).expand(1, *x.shape[2:]) for axis in range(2, x.dim())]
    grid = torch.stack(sides, dim=1)  # (1, dims, *S)
    return grid.expand(len(x), *grid.shape[1:])


def _coordinate(x: Tensor, axis: int) -> Tensor:
    """Return where places of ``(B, C, *S)`` are along one axis, -1 to 1; broadcasts with x[0]."""
    side = torch.linspace(-1, 1, x.shape[axis], device=x.device, dtype=x.dtype)
    return side.view(-1, *[1] * (x.dim() - 1 - axis))

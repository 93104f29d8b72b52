"""Convolutions that halve or double the sides of images, as in DCGAN (Radford et al. 2016)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

SMALLEST = 4
"""The side at which halving ends and doubling starts."""
_leaky_relu = functools.partial(nn.LeakyReLU, 0.2, inplace=True)


def halved_widths(width: int, size: int) -> list[int]:
    """Return the channels at sides of size/2, size/4, … 4: ``[64, 128, 256]`` for 64 and 32.

    Args:
        width: channels at half the size; they double when the side is halved.
        size: a power of two, at least 8.
    """
    return [width * 2**layer for layer in range((size // SMALLEST).bit_length() - 1)]


def halving_convolutions(
    channels: int,
    widths: Sequence[int],
    *,
    normalization: Literal["none", "batch", "layer"] = "none",
    bias: bool = True,
    activation: Callable[[], nn.Module] = _leaky_relu,
) -> list[nn.Module]:
    """Return layers from ``(B, channels, H, W)`` to ``(B, widths[-1], H / 2**n, W / 2**n)``.

    Args:
        channels: of the input, which is not normalised: nor is the first layer's output.
        widths: channels after each of n layers.
        normalization: of all layers' outputs but the first's, by batch or by sample.
        bias: whether normalised layers have one; the others do.
        activation: makes what follows each layer.
    """
    layers: list[nn.Module] = []
    before = channels
    for number, after in enumerate(widths):
        kind = normalization if number else "none"
        layers.append(nn.Conv2d(before, after, 4, 2, 1, bias=bias or kind == "none"))
        if kind == "batch":
            layers.append(nn.BatchNorm2d(after))
        elif kind == "layer":
            layers.append(nn.GroupNorm(1, after))
        layers.append(activation())
        before = after
    return layers


def doubling_convolutions(latent_size: int, widths: Sequence[int], channels: int) -> nn.Sequential:
    """Return the layers of DCGAN's generator: ``(B, latent_size, 1, 1)`` to values in (-1, 1).

    Args:
        latent_size: of the vector that is drawn from.
        widths: channels at sides of 4, 8, …; batch normalisation follows each of these layers.
        channels: of the result, ``(B, channels, S, S)`` with S = 4 * 2**len(widths).
    """
    layers: list[nn.Module] = []
    before = latent_size
    for number, after in enumerate(widths):
        stride, padding = (2, 1) if number else (1, 0)  # 1 -> 4, then doubling
        layers += [
            nn.ConvTranspose2d(before, after, SMALLEST, stride, padding, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
        ]
        before = after
    return nn.Sequential(*layers, nn.ConvTranspose2d(before, channels, 4, 2, 1), nn.Tanh())


def with_label(features: Tensor, labels: Tensor | None, classes: int) -> Tensor:
    """Append one-hot labels ``(B,)``, if there are any: ``(B, F)`` to ``(B, F + classes)``.

    So a network is given the class (Mirza & Osindero 2014).
    """
    if labels is None:
        return features
    # Not one_hot: it looks at the labels, which gradients of single samples (vmap) do not allow.
    ones = labels[:, None] == torch.arange(classes, device=labels.device)  # (B, classes)
    return torch.cat([features, ones.to(features.dtype)], dim=1)

"""Convolutions that halve or double the sides of images, or of videos, as in DCGAN.

Radford et al. 2016; in three dimensions as in Vondrick et al. 2016, "Generating Videos with Scene
Dynamics".
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

SMALLEST = 4
"""The side at which halving ends and doubling starts."""
_HALVING: dict[int, Any] = {2: nn.Conv2d, 3: nn.Conv3d}
_DOUBLING: dict[int, Any] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_BATCH_NORM: dict[int, Any] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
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
    dims: int = 2,
) -> list[nn.Module]:
    """Return layers from ``(B, channels, *S)`` to ``(B, widths[-1], *(S / 2**n))``.

    Args:
        channels: of the input, which is not normalised: nor is the first layer's output.
        widths: channels after each of n layers.
        normalization: of all layers' outputs but the first's, by batch or by sample.
        bias: whether normalised layers have one; the others do.
        activation: makes what follows each layer.
        dims: 2 or 3: how many S are.
    """
    layers: list[nn.Module] = []
    before = channels
    for number, after in enumerate(widths):
        kind = normalization if number else "none"
        layers.append(_HALVING[dims](before, after, 4, 2, 1, bias=bias or kind == "none"))
        if kind == "batch":
            layers.append(_BATCH_NORM[dims](after))
        elif kind == "layer":
            layers.append(nn.GroupNorm(1, after))
        layers.append(activation())
        before = after
    return layers


def doubling_convolutions(
    latent_size: int,
    widths: Sequence[int],
    channels: int,
    smallest: Sequence[int] = (SMALLEST, SMALLEST),
) -> nn.Sequential:
    """Return the layers of DCGAN's generator: ``(B, latent_size, *1)`` to values in (-1, 1).

    Args:
        latent_size: of the vector that is drawn from.
        widths: channels after the first layer, and after each one that doubles the sides; batch
            normalisation follows each of these layers.
        channels: of the result, ``(B, channels, *S)`` with S = smallest * 2**len(widths).
        smallest: the two or three sides after the first layer.
    """
    dims = len(smallest)
    conv = _DOUBLING[dims]
    layers: list[nn.Module] = []
    before = latent_size
    for number, after in enumerate(widths):
        kernel, stride, padding = (4, 2, 1) if number else (tuple(smallest), 1, 0)
        layers += [
            conv(before, after, kernel, stride, padding, bias=False),
            _BATCH_NORM[dims](after),
            nn.ReLU(inplace=True),
        ]
        before = after
    return nn.Sequential(*layers, conv(before, channels, 4, 2, 1), nn.Tanh())


def initialize_convolutions(network: nn.Module) -> None:
    """Draw weights as Radford et al. 2016, section 4: N(0, 0.02), those of batch norms around 1."""
    weighted = (*_HALVING.values(), *_DOUBLING.values(), nn.Linear, nn.Embedding)
    norms = tuple(_BATCH_NORM.values())
    for module in network.modules():
        if isinstance(module, (*weighted, *norms)):
            mean = 1.0 if isinstance(module, norms) else 0.0
            nn.init.normal_(cast(Tensor, module.weight), mean, 0.02)


def with_label(features: Tensor, labels: Tensor | None, classes: int) -> Tensor:
    """Append one-hot labels ``(B,)``, if there are any: ``(B, F)`` to ``(B, F + classes)``.

    So a network is given the class (Mirza & Osindero 2014).
    """
    if labels is None:
        return features
    # Not one_hot: it looks at the labels, which gradients of single samples (vmap) do not allow.
    ones = labels[:, None] == torch.arange(classes, device=labels.device)  # (B, classes)
    return torch.cat([features, ones.to(features.dtype)], dim=1)

"""The convolutional encoder and decoder of VQ-VAE, for signals of one, two or three dimensions.

van den Oord et al. 2017, "Neural Discrete Representation Learning", section 4.1.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import relu

from aigc_core.networks.unet import CONVOLUTIONS

_TRANSPOSED: dict[int, Any] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


class _Residual(nn.Module):
    """``x + convolutions(x)``, on ``(B, C, *S)``."""

    def __init__(self, dims: int, channels: int) -> None:
        super().__init__()
        self.conv_in = CONVOLUTIONS[dims](channels, channels, 3, padding=1)
        self.conv_out = CONVOLUTIONS[dims](channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.conv_out(relu(self.conv_in(relu(x))))
        return out


class SignalEncoder(nn.Sequential):
    """Signals ``(B, C, *S)`` to vectors ``(B, D, *G)``, each side of G being S / 2**halvings."""

    def __init__(
        self, dims: int, channels: int, size: int, *, width: int, halvings: int, blocks: int
    ) -> None:
        """Make the layers.

        Args:
            dims: 1, 2 or 3: how many S are.
            channels: C.
            size: D.
            width: channels of all layers between.
            halvings: how often sides are halved.
            blocks: residual blocks after that.
        """
        conv = CONVOLUTIONS[dims]
        layers: list[nn.Module] = []
        for before in [channels, *[width] * (halvings - 1)]:
            layers += [conv(before, width, 4, 2, 1), nn.ReLU()]
        layers.append(conv(width, width, 3, padding=1))
        layers += [_Residual(dims, width) for _ in range(blocks)]
        super().__init__(*layers, nn.ReLU(), conv(width, size, 1))


class SignalDecoder(nn.Sequential):
    """Vectors ``(B, D, *G)`` to signals ``(B, C, *S)``: the way back of ``SignalEncoder``."""

    def __init__(
        self, dims: int, channels: int, size: int, *, width: int, halvings: int, blocks: int
    ) -> None:
        """Make the layers; see ``SignalEncoder``."""
        grow = _TRANSPOSED[dims]
        layers: list[nn.Module] = [CONVOLUTIONS[dims](size, width, 3, padding=1)]
        layers += [_Residual(dims, width) for _ in range(blocks)]
        for after in [*[width] * (halvings - 1), channels]:
            layers += [nn.ReLU(), grow(width, after, 4, 2, 1)]
        super().__init__(*layers)

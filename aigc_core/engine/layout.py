"""The memory format of images and of the weights that see them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
_FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


def choose_channels_last(
    wanted: bool | None, networks: Iterable[nn.Module], device: torch.device, precision: str
) -> bool:
    """Return what was asked for, else whether it is faster: for 2-D convolutions, mostly."""
    if wanted is not None:
        return wanted
    has_2d = any(isinstance(m, _CONVOLUTIONS) for network in networks for m in network.modules())
    return has_2d and (device.type == "cuda" or precision == "bf16")


@torch.no_grad()
def weights_channels_last(network: nn.Module) -> None:
    """Let a network's weights of 2-D and 3-D convolutions lie channels last, each in its format.

    ``Module.to(memory_format=torch.channels_last)`` refuses weights of five dimensions.
    """
    for parameter in network.parameters():
        if parameter.dim() in _FORMATS:
            parameter.data = parameter.data.contiguous(memory_format=_FORMATS[parameter.dim()])


def samples_channels_last(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a batch whose ``samples``, where they are pictures or volumes, lie channels last.

    Those are ``(B, C, H, W)`` and ``(B, C, D, H, W)``.
    """
    samples = batch["samples"]
    if samples.dim() in _FORMATS:
        samples = samples.contiguous(memory_format=_FORMATS[samples.dim()])
    return {**batch, "samples": samples}

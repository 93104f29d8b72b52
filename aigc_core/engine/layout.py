"""The memory format of images and of the weights that see them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def choose_channels_last(
    wanted: bool | None, networks: Iterable[nn.Module], device: torch.device, precision: str
) -> bool:
    """Return what was asked for, else whether it is faster: for 2-D convolutions, mostly."""
    if wanted is not None:
        return wanted
    has_2d = any(isinstance(m, _CONVOLUTIONS) for network in networks for m in network.modules())
    return has_2d and (device.type == "cuda" or precision == "bf16")


def samples_channels_last(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a batch whose ``samples``, where they are ``(B, C, H, W)``, lie channels last."""
    samples = batch["samples"]
    if samples.dim() == 4:
        samples = samples.contiguous(memory_format=torch.channels_last)
    return {**batch, "samples": samples}

"""Resizing whole datasets of images, in chunks."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

_CHUNK = 1024
"""Images resized at once; limits the memory for floats."""


def resized(images: Tensor, size: int, mode: Literal["bilinear", "bicubic"]) -> Tensor:
    """Resize images ``(N, C, h, w)`` of values 0..255, any dtype, to uint8 ``(N, C, size, size)``.

    Shrinking is antialiased; overshoots of the bicubic kernel are clamped.
    """
    result = torch.empty((*images.shape[:2], size, size), dtype=torch.uint8)
    for start in range(0, len(images), _CHUNK):
        chunk = images[start : start + _CHUNK].float()
        values = functional.interpolate(chunk, (size, size), mode=mode, antialias=True)
        result[start : start + _CHUNK] = values.round_().clamp_(0, 255)
    return result

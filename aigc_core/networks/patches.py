"""Patches of a signal as channels: fewer places, at which a network is cheaper."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor


def folded(x: Tensor, patch: int | Sequence[int]) -> Tensor:
    """Turn patches of ``(B, C, *S)`` into channels: ``(B, C * prod(patch), *(S / patch))``.

    With two sides and one number it is ``torch.nn.functional.pixel_unshuffle``.

    Args:
        x: of any number of sides S.
        patch: sides of a patch, which divide S; one number for all alike.
    """
    batch, channels, *sides = x.shape
    patches = _for_each(patch, len(sides))
    if set(patches) == {1}:
        return x
    n = len(sides)
    split = [part for side, p in zip(sides, patches, strict=True) for part in (side // p, p)]
    order = [0, 1, *(3 + 2 * i for i in range(n)), *(2 + 2 * i for i in range(n))]
    places = [side // p for side, p in zip(sides, patches, strict=True)]
    return x.reshape(batch, channels, *split).permute(order).reshape(batch, -1, *places)


def unfolded(x: Tensor, patch: int | Sequence[int]) -> Tensor:
    """Undo ``folded``."""
    batch, values, *places = x.shape
    patches = _for_each(patch, len(places))
    if set(patches) == {1}:
        return x
    n = len(places)
    parts = x.reshape(batch, values // math.prod(patches), *patches, *places)
    order = [0, 1, *(place for i in range(n) for place in (2 + n + i, 2 + i))]
    sides = [place * p for place, p in zip(places, patches, strict=True)]
    return parts.permute(order).reshape(batch, -1, *sides)


def _for_each(patch: int | Sequence[int], sides: int) -> list[int]:
    return [patch] * sides if isinstance(patch, int) else list(patch)

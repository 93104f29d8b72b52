"""Interpret pixels of any depth by what the file's own tags say about them.

Pillow's modes hide what the numbers mean: 12-bit pixels arrive as I;16, and so do 16-bit pixels
where white is zero; signed 8-bit pixels arrive as unsigned. So the file's own tags decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aigc_core.datasets import UnreadableError

_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # TIFF 6.0, sections 8 and 19
_UNSIGNED, _SIGNED = 1, 2
_WHITE_IS_ZERO = 0
_PNG_DEPTHS = {"1": 1, "L;2": 2, "L;4": 4, "I;16B": 16, "RGB;16B": 16, "P;1": 1, "P;2": 2, "P;4": 4}
_DIM = 1 / 256


def raw_mode(image: Image.Image) -> str:
    """Return the layout of pixels in the file, such as ``L;2``; call it before they are loaded."""
    tile = getattr(image, "tile", None)
    if not tile:
        return ""
    arguments = tile[0][3]
    first = arguments[0] if isinstance(arguments, tuple | list) and arguments else arguments
    return first if isinstance(first, str) else ""


def grey_levels(image: Image.Image, tags: Mapping[int, Any]) -> NDArray[np.float32] | None:
    """Return grey pixels that are not unsigned 8-bit as float32 ``(H, W)`` in [0, 1].

    0 is zero and 1 the largest value of the depth, or the other way round if the file says that
    white is zero. None for images that Pillow already holds correctly in 8 bits. ``tags`` are a
    TIFF's; turning an image upright loses them.

    Raises:
        UnreadableError: the range is not known: floating point, or signed values below zero.
    """
    bits = _first(tags.get(_BITS), 0)
    signed = _first(tags.get(_SAMPLE_FORMAT), _UNSIGNED) == _SIGNED
    if image.mode == "F":
        raise UnreadableError("floating-point pixels have no known range")
    if image.mode == "L" and signed and bits == 8:
        values = np.asarray(image).view(np.int8).astype(np.float64)
        largest = float(2**7 - 1)
    elif image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.float64)
        largest = float(2 ** (bits if 8 < bits <= 16 else 16) - 1)
    elif image.mode == "I" and bits == 32:
        integers = np.asarray(image)
        values = (integers if signed else integers.view(np.uint32)).astype(np.float64)
        largest = float(2 ** (31 if signed else 32) - 1)
    elif image.mode == "I":  # 16 bits: PNG in older Pillows, PGM, signed TIFF
        values = np.asarray(image).astype(np.float64)
        largest = float(2 ** (15 if signed else 16) - 1)
    else:
        return None
    if values.min(initial=0) < 0:
        raise UnreadableError("signed pixels below zero, whose black is not known")
    levels = np.minimum(values / largest, 1)
    if tags and _first(tags.get(_PHOTOMETRIC), 1) == _WHITE_IS_ZERO:
        levels = 1 - levels
    return levels.astype(np.float32)


def is_dim(levels: NDArray[np.float32]) -> bool:
    """Whether values are so far below the depth's maximum that 8 bits show almost only black."""
    return 0 < float(levels.max(initial=0)) < _DIM


def transparent_level(image: Image.Image, raw: str) -> float | None:
    """Return the grey level, in [0, 1], that a PNG's tRNS chunk declares transparent, if any."""
    key = image.info.get("transparency")
    if not isinstance(key, int) or image.mode not in ("1", "L", "I", "I;16", "I;16B"):
        return None
    if image.mode == "1":  # pillow gives 255 for white
        return float(key > 0)
    return float(key / (2 ** _PNG_DEPTHS.get(raw, 16 if image.mode.startswith("I") else 8) - 1))


def with_key_of_8_bits(image: Image.Image, raw: str) -> Image.Image:
    """Return the image; a 16-bit RGB's transparent colour is scaled to the 8 bits loaded."""
    key = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(key, tuple) and _PNG_DEPTHS.get(raw) == 16:
        image.info["transparency"] = tuple(value >> 8 for value in key)
    return image


def _first(value: object, otherwise: int) -> int:
    if isinstance(value, tuple | list):
        value = value[0] if value else otherwise
    return value if isinstance(value, int) else otherwise

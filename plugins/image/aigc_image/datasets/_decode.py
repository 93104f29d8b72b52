"""One image file to pixels, whatever its mode, depth or orientation."""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

_WIDE_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")
"""Pillow's modes of 16-bit grey; ``convert`` would clip them at 255."""


def decode(path: Path, size: int, channels: int) -> NDArray[np.uint8]:
    """Read an image file as uint8 ``(channels, size, size)``.

    The picture is turned upright (EXIF), transparency becomes black, 16 bits become 8, the largest
    centred square is cut out and resized to ``size``. Of an animation, the first frame is taken.

    Raises:
        Exception: the file cannot be read. Pillow's readers raise almost anything on damaged files.
    """
    with Image.open(path) as image:
        image.draft(None, (2 * size, 2 * size))  # a JPEG can be decoded at a half, a quarter, …
        ImageOps.exif_transpose(image, in_place=True)
        flat = _eight_bits(image).convert("L" if channels == 1 else "RGB")
    side = min(flat.size)
    left, top = (flat.width - side) // 2, (flat.height - side) // 2
    # Cutting before resizing: a panorama of 1 x 100,000 pixels costs no more than its square.
    square = flat.resize(
        (size, size),
        Image.Resampling.LANCZOS,
        box=(left, top, left + side, top + side),
        reducing_gap=3.0,
    )
    pixels = np.asarray(square)  # (size, size) or (size, size, 3)
    return pixels.reshape(size, size, channels).transpose(2, 0, 1)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return the image opaque, in a mode of 8 bits per channel that pillow converts faithfully."""
    if image.mode in _WIDE_MODES:
        values = np.clip(np.asarray(image, dtype=np.int64), 0, 65535)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range")
    if image.has_transparency_data:
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, image.convert("RGBA"))
    return image


def why_unreadable(error: Exception) -> str:
    """Return a few words for a user on why ``decode`` failed."""
    match error:
        case Image.DecompressionBombError():
            return "too many pixels"
        case UnidentifiedImageError():
            return "not an image"
        case OSError(strerror=str(reason)):
            return reason.lower()
        case EOFError() | SyntaxError() | struct.error():
            return "damaged"
        case _:
            return str(error).rstrip(".") or type(error).__name__

"""Correct or refuse images that Pillow silently misreads, and name TIFFs that it cannot open.

Every case was seen with Pillow 13, by comparing pixels with what was written. The file's own header
decides.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

from aigc_core.datasets import UnreadableError

# TIFF 6.0; the numbers are those of its tags.
_BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANES = 258, 259, 262, 277, 284
_COLOUR_MAP, _SAMPLE_FORMAT, _COEFFICIENTS, _SUBSAMPLING, _BLACK_WHITE = 320, 339, 529, 530, 532
_UNCOMPRESSED, _SEPARATE, _YCBCR = 1, 2, 6
_REC_601 = (0.299, 0.587, 0.114)
_FULL_RANGE = (0, 255, 128, 255, 128, 255)
_FORMATS = {2: "signed ", 3: "floating-point ", 5: "complex ", 6: "complex "}
_COLOURS = {0: "grey", 1: "grey", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "Lab"}
_HEADER_BYTES = 1 << 16
_PNG = b"\x89PNG\r\n\x1a\n"


def refuse_misread(image: Image.Image, path: Path) -> None:
    """Refuse, before it is loaded, a frame that Pillow would decode to wrong pixels.

    Raises:
        UnreadableError: it is such a frame; says what it is, and what to save it as.
    """
    tags = getattr(image, "tag_v2", {})
    if image.format == "TIFF" and tags.get(_COMPRESSION, 1) == _UNCOMPRESSED:
        bits = max(tags.get(_BITS, (1,)))
        if tags.get(_PLANES, 1) == _SEPARATE and tags.get(_SAMPLES, 1) > 1 and bits > 8:
            raise UnreadableError(
                f"{bits}-bit channels in separate planes, which Pillow reads wrongly: save it with "
                "interleaved channels"
            )
        if tags.get(_PHOTOMETRIC) == _YCBCR and not _is_usual_ycbcr(tags):
            raise UnreadableError(
                "uncompressed YCbCr of another kind than JPEG's, which Pillow reads wrongly: save "
                "it as RGB"
            )
    if image.format == "JPEG2000":
        bits, signed = _component_depths(path)
        if signed or len({*bits}) > 1 or (len(bits) > 1 and max(bits) > 8):
            kind = "signed " if signed else ""
            raise UnreadableError(
                f"JPEG 2000 of {len(bits)} x {max(bits)}-bit {kind}samples, which Pillow reads "
                "wrongly: save it as 16-bit PNG or TIFF"
            )


def _is_usual_ycbcr(tags: Mapping[int, Any]) -> bool:
    """Whether YCbCr is not subsampled and follows Rec. 601 in full range."""
    return (
        tuple(tags.get(_SUBSAMPLING, (2, 2))) == (1, 1)
        and np.allclose(np.array(tags.get(_COEFFICIENTS, _REC_601), float), _REC_601, atol=1e-3)
        and np.allclose(np.array(tags.get(_BLACK_WHITE, _FULL_RANGE), float), _FULL_RANGE)
    )


def put_right(image: Image.Image, path: Path) -> Image.Image:
    """Return a loaded frame with Pillow's mistakes corrected."""
    if image.format == "TIFF":
        tags = image.tag_v2  # type: ignore[attr-defined]
        return _in_byte_order(_with_wide_palette(image, tags), tags)
    if image.format == "TGA":
        return _without_padding(image, path)
    if image.format == "JPEG2000" and image.mode in ("L", "LA", "RGB", "RGBA"):
        bits, _ = _component_depths(path)
        if bits and max(bits) < 8:  # Pillow only shifts to 8 bits: 4-bit 15 becomes 240
            largest = (2 ** bits[0] - 1) << (8 - bits[0])
            return image.point([min(255, round(v * 255 / largest)) for v in range(256)] * len(bits))
    return image


def _in_byte_order(image: Image.Image, tags: Any) -> Image.Image:
    """Swap the bytes of compressed signed values.

    libtiff returns them in the machine's byte order, but Pillow expects the file's.
    """
    foreign = tags.prefix == (b"MM" if sys.byteorder == "little" else b"II")
    if image.mode != "I" or not foreign or tags.get(_COMPRESSION, 1) == _UNCOMPRESSED:
        return image
    values = np.asarray(image)
    if max(tags.get(_BITS, (32,))) == 16:
        values = values.astype(np.int16)
    image.paste(Image.fromarray(values.byteswap().astype(np.int32)))  # keeps the orientation
    return image


def _with_wide_palette(image: Image.Image, tags: Any) -> Image.Image:
    """Treat a colour map whose values are all below 256 as 8-bit, as libtiff does.

    Colour maps have 16 bits; some programs write 8, which would make all colours black.
    """
    colours = tags.get(_COLOUR_MAP)
    if image.mode == "P" and colours and 0 < max(colours) < 256:
        image.putpalette(np.array(colours, np.uint8).reshape(3, -1).T.tobytes())
    return image


def _without_padding(image: Image.Image, path: Path) -> Image.Image:
    """Drop the fourth byte of a TGA's pixels if it is not alpha.

    The header says how many bits of alpha there are (TGA 2.0, field 5.6). Many programs write 0
    despite real alpha, so the byte is dropped only if it would hide the whole picture.
    """
    with path.open("rb") as file:
        declared = file.read(18)[17] & 15
    if declared or "A" not in image.getbands() or image.getchannel("A").getextrema() != (0, 0):
        return image
    return image.convert({"LA": "L"}.get(image.mode, "RGB"))


def _component_depths(path: Path) -> tuple[list[int], bool]:
    """Return the depths of a JPEG 2000's components, and whether any is signed (T.800, A.5.1)."""
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
    start = head.find(b"\xff\x4f\xff\x51")  # start of codestream, then the segment SIZ
    if start < 0:
        return [], False
    count = int.from_bytes(head[start + 40 : start + 42])
    depths = head[start + 42 : start + 42 + 3 * count : 3]
    return [(depth & 127) + 1 for depth in depths], any(depth & 128 for depth in depths)


def is_coded_otherwise(path: Path) -> bool:
    """Whether a PNG's cICP chunk says that its colours are not sRGB (HDR, wide gamut).

    Code points are those of ITU-T H.273: primaries 1 and curves 1, 6, 13, 14 or 15 are Rec. 709
    or sRGB; full range is 1.
    """
    with path.open("rb") as file:
        if file.read(8) != _PNG:
            return False
        while len(head := file.read(8)) == 8 and head[4:] not in (b"IDAT", b"IEND"):
            if head[4:] == b"cICP":
                primaries, curve, _, full = file.read(4).ljust(4, b"\0")
                return (primaries, full) != (1, 1) or curve not in (1, 6, 13, 14, 15)
            file.seek(int.from_bytes(head[:4]) + 4, 1)
    return False


def unread_tiff(path: Path) -> str | None:
    """Describe a TIFF that Pillow cannot open; None if the file is not a TIFF."""
    with path.open("rb") as file:
        head = file.read(16)
        if head[:4] not in (b"II*\0", b"MM\0*", b"II+\0"):
            return None
        try:
            tags = TiffImagePlugin.ImageFileDirectory_v2(head if head[2] == 43 else head[:8])
            file.seek(tags.next)
            tags.load(file)
            bits, form = max(tags.get(_BITS, (1,))), max(tags.get(_SAMPLE_FORMAT, (1,)))
            compression, samples = tags.get(_COMPRESSION, 1), tags.get(_SAMPLES, 1)
            colours = _COLOURS.get(tags.get(_PHOTOMETRIC, 1), "other")
        except Exception:  # damaged tags make Pillow raise almost anything
            return "a damaged TIFF"
    packed = "" if compression == _UNCOMPRESSED else f" and compression {compression}"
    return (
        f"a TIFF of {samples} x {bits}-bit {_FORMATS.get(form, '')}{colours} samples{packed}, "
        "which Pillow cannot open: convert it to 16-bit PNG or TIFF"
    )

"""Decode an image file to pixels, whatever its format, depth, colours, frames or orientation."""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError, features

from aigc_core.datasets import DecodedFile, UnreadableError
from aigc_image.datasets._colour import CONVERTED, NO_PROFILE, has_other_curve, to_srgb
from aigc_image.datasets._depths import (
    grey_levels,
    is_dim,
    raw_mode,
    transparent_level,
    with_key_of_8_bits,
)
from aigc_image.datasets._misread import (
    is_coded_otherwise,
    put_right,
    refuse_misread,
    unread_tiff,
)
from aigc_image.options import ImageFolderOptions

_ALWAYS = (
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif", ".webp", ".tif",
    ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".pcx", ".qoi", ".sgi",
)  # fmt: skip
_JPEG_2000 = (".jp2", ".j2k", ".j2c", ".jpc", ".jpx")
_HEIF = (".heic", ".heif", ".hif")
_HAS_AVIF, _HAS_JPEG_2000 = features.check("avif"), features.check("jpg_2000")
_HAS_HEIF = importlib.util.find_spec("pillow_heif") is not None
_HAS = {(".avif",): _HAS_AVIF, _JPEG_2000: _HAS_JPEG_2000, _HEIF: _HAS_HEIF}

SUFFIXES = _ALWAYS + tuple(suffix for group, has in _HAS.items() if has for suffix in group)
_WITHOUT = {
    (".avif",): "this Pillow reads no AVIF: pip install --upgrade pillow",
    _JPEG_2000: "this Pillow reads no JPEG 2000: pip install --upgrade pillow",
    _HEIF: "install pillow-heif",
}
_RAW = (".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2")
HINTS = {
    **{suffix: hint for group, hint in _WITHOUT.items() if not _HAS[group] for suffix in group},
    **dict.fromkeys(_RAW, "raw files of cameras: develop them to 16-bit TIFF"),
    **dict.fromkeys((".svg", ".eps", ".pdf", ".ai"), "no pixels: convert to PNG"),
    **dict.fromkeys(
        (".mp4", ".mov", ".avi", ".mkv", ".webm"),
        "a video: see video-folder",
    ),
    **dict.fromkeys((".exr", ".hdr", ".pfm"), "no known white: convert to 16-bit TIFF"),
}
_FORMATS = (
    "PNG", "JPEG", "BMP", "DIB", "GIF", "WEBP", "TIFF", "PPM", "TGA", "PCX", "QOI", "SGI",
    "AVIF", "JPEG2000",
)  # fmt: skip
"""Formats tried, whatever the suffix says; none runs a program, as EPS runs Ghostscript."""

FRAMES, DIM, CODED = "frames", "dim", "coded"
FAINT, SHALLOW, KEPT = "faint", "shallow", "kept"
REMARKS = {
    CONVERTED: "{count:,} of {total:,} images have a colour profile other than sRGB and were "
    "converted to sRGB (dataset.options.colour_management=false keeps their numbers).",
    NO_PROFILE: "{count:,} of {total:,} images have a colour profile that is damaged or for other "
    "pixels; they were taken for sRGB: {files}.",
    FRAMES: "{count:,} of {total:,} images have several frames, and only the first is used: "
    "{files}. Set dataset.options.frames=all for all of them.",
    DIM: "{count:,} of {total:,} images are black: they use less than 1/256 of the range of their "
    "depth: {files}. Stretch them to the range before training.",
    FAINT: "{count:,} of {total:,} images use less than a quarter of the range of their depth, and "
    "networks see them as nearly black: {files}. Multiply all images by one number before, such "
    "as 16 where the levels are those of 12 bits.",
    SHALLOW: "{count:,} of {total:,} images have at most 8 bits, or colours, which are read with "
    "8: {files}. Their levels were multiplied by 257, and dataset.options.bits=16 gains nothing.",
    KEPT: "{count:,} of {total:,} images of more than 8 bits have a colour profile or a gamma, and "
    "their numbers were kept as they are: {files}.",
    CODED: "{count:,} of {total:,} images say by a chunk cICP that their colours are not sRGB (HDR "
    "or a wide gamut), which is not converted: {files}. Convert them to sRGB before training.",
}
_FAINT = 1 / 4
_SUBFILE_TYPE = 254
_REDUCED = 1


def decode(path: Path, options: ImageFolderOptions) -> DecodedFile:
    """Read an image file as uint8 or uint16 ``(P, channels, size, size)``.

    The image is turned upright (EXIF), converted to 8 bits and, with colour management, to sRGB,
    put on black where it is transparent, cropped to its largest centred square and resized. P is
    1, or the number of frames if the options ask for all. Where 16 bits are asked for, grey of more
    than 8 is scaled to 0..65535 instead, and no colour profile is applied to it.

    Raises:
        UnreadableError: the file cannot be read, or not correctly.
    """
    if path.suffix.lower() in _HEIF or _HAS_HEIF:
        _register_heif()
    remarks: list[str] = []
    try:
        with Image.open(path, formats=_formats()) as image:
            frames = _frames(image)
            if len(frames) > 1 and options.frames == "first":
                remarks.append(FRAMES)
                frames = frames[:1]
            if options.colour_management and is_coded_otherwise(path):
                remarks.append(CODED)
            pixels = []
            for number in frames:
                if number or len(frames) > 1:
                    image.seek(number)
                pixels.append(_decoded(image, path, options, remarks))
    except UnreadableError:
        raise
    except Exception as error:  # pillow's readers raise almost anything on damaged files
        why = unread_tiff(path) if isinstance(error, UnidentifiedImageError) else None
        raise UnreadableError(why or why_unreadable(error)) from error
    return DecodedFile(np.stack(pixels), tuple(dict.fromkeys(remarks)))


def _formats() -> tuple[str, ...]:
    return (*_FORMATS, "HEIF") if _HAS_HEIF else _FORMATS


def _register_heif() -> None:
    """Let Pillow open HEIF; imported here since the library is an optional dependency."""
    if _HAS_HEIF:
        import pillow_heif

        pillow_heif.register_heif_opener()


def _frames(image: Image.Image) -> list[int]:
    """Return the indices of an image's frames, without previews and reduced copies."""
    count = getattr(image, "n_frames", 1)
    if count == 1 or image.format in ("MPO", "HEIF"):  # a phone's second picture isn't one
        return [0]
    if image.format != "TIFF":
        return list(range(count))
    frames = []
    for number in range(count):
        image.seek(number)
        kind = getattr(image, "tag_v2", {}).get(_SUBFILE_TYPE, 0)
        if not (isinstance(kind, int) and kind & _REDUCED):
            frames.append(number)
    image.seek(0)
    return frames or [0]


def _decoded(
    image: Image.Image, path: Path, options: ImageFolderOptions, remarks: list[str]
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Return an image's current frame: uint8 or uint16 ``(channels, size, size)``."""
    size, channels = options.size, options.channels
    raw, tags = raw_mode(image), getattr(image, "tag_v2", {})
    refuse_misread(image, path)
    image.draft(None, (2 * size, 2 * size))  # a JPEG can be decoded at 1/2, 1/4, … size
    image.load()
    upright = ImageOps.exif_transpose(put_right(image, path))
    levels = grey_levels(upright, tags)
    if levels is not None:
        remarks += _darkness(levels, options.bits)
    if levels is not None and options.bits == 16:
        if options.colour_management and has_other_curve(upright):
            remarks.append(KEPT)
        levels[_is_key(levels, transparent_level(upright, raw))] = 0
        flat = Image.fromarray(levels * np.float32(65535))
    else:
        eight = _eight_bits(upright, levels, raw)
        if options.colour_management:
            eight.info = {**upright.info, **eight.info}
            eight, remark = to_srgb(eight)
            remarks += [remark] if remark else []
        flat = _opaque(eight).convert("L" if channels == 1 else "RGB")
        if options.bits == 16:
            remarks.append(SHALLOW)
            flat = Image.fromarray(np.asarray(flat) * np.float32(257))
    side = min(flat.size)
    left, top = (flat.width - side) // 2, (flat.height - side) // 2
    # Crop before resizing, so that a 1 x 100,000 panorama costs no more than its square.
    square = flat.resize(
        (size, size),
        Image.Resampling.LANCZOS,
        box=(left, top, left + side, top + side),
        reducing_gap=3.0,
    )
    pixels = np.asarray(square)  # (size, size) or (size, size, 3)
    if options.bits == 16:
        pixels = np.rint(pixels).clip(0, 65535).astype(np.uint16)
    return pixels.reshape(size, size, channels).transpose(2, 0, 1)


def _eight_bits(image: Image.Image, levels: NDArray[np.float32] | None, raw: str) -> Image.Image:
    """Return the image in a mode with 8 bits per channel that Pillow converts faithfully."""
    key = transparent_level(image, raw)
    if levels is None:
        if key is None:
            return with_key_of_8_bits(image, raw)
        levels = np.asarray(image.convert("L")).astype(np.float32) / np.float32(255)
    grey = Image.fromarray(np.rint(levels * 255).astype(np.uint8))
    if key is not None:
        visible = np.where(_is_key(levels, key), 0, 255).astype(np.uint8)
        grey.putalpha(Image.fromarray(visible))
    return grey


def _darkness(levels: NDArray[np.float32], bits: int) -> list[str]:
    """Return the remark, if there is one, about levels that leave much of their range unused."""
    if is_dim(levels):
        return [DIM]
    return [FAINT] if bits == 16 and 0 < levels.max(initial=0) < _FAINT else []


def _is_key(levels: NDArray[np.float32], key: float | None) -> NDArray[np.bool_]:
    """Return which levels are the transparent one, if there is one."""
    found: NDArray[np.bool_] = np.abs(levels - np.float32(np.inf if key is None else key)) < 1e-6
    return found


def _opaque(image: Image.Image) -> Image.Image:
    """Return the image on a black background, without transparency."""
    if not image.has_transparency_data:
        return image
    if image.mode == "La":  # pillow converts premultiplied grey to nothing else
        image = image.convert("LA")
    black = Image.new("RGBA", image.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, image.convert("RGBA"))


def why_unreadable(error: Exception) -> str:
    """Return a short reason, for the user, why a file could not be decoded."""
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

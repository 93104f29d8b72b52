"""Convert images to sRGB, which is what networks see and previews show."""

from __future__ import annotations

import functools
import io
import threading

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

_EXIF, _INTEROP = 0x8769, 0xA005
_COLOUR_SPACE, _INDEX = 0xA001, 0x0001
_SRGB_GAMMA = 0.45455
_NEAR = 2
"""Largest difference, in levels of 255, that counts as no change."""

Chromaticities = tuple[float, ...]
"""x and y of white, red, green and blue, in the order of PNG's cHRM."""
_SRGB: Chromaticities = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
_ADOBE_RGB: Chromaticities = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
_ADOBE_GAMMA = 563 / 256

CONVERTED, NO_PROFILE = "converted", "profile-damaged"


def to_srgb(image: Image.Image) -> tuple[Image.Image, str | None]:
    """Convert an 8-bit image to sRGB; return it with a remark, if there is one.

    Uses the ICC profile (perceptual intent) if there is one; else PNG's gAMA and cHRM, unless the
    PNG says that it is sRGB; else Adobe RGB if a camera's EXIF says so. Transparency is kept.
    Images without any of these are assumed to be sRGB, as in web browsers.
    """
    profile = image.info.get("icc_profile")
    if isinstance(profile, bytes) and profile:
        return _by_profile(image, profile)
    if "srgb" in image.info:
        return image, None
    gamma, primaries = image.info.get("gamma"), image.info.get("chromaticity")
    if gamma is not None or primaries is not None:
        exponent = 1 / gamma if gamma else 1 / _SRGB_GAMMA
        return _by_numbers(image, exponent, tuple(primaries) if primaries else _SRGB)
    if _says_adobe_rgb(image):
        return _by_numbers(image, _ADOBE_GAMMA, _ADOBE_RGB)
    return image, None


def has_other_curve(image: Image.Image) -> bool:
    """Whether a grey image says that its levels are not sRGB's, by a profile or PNG's gAMA."""
    gamma = None if "srgb" in image.info else image.info.get("gamma")
    return bool(image.info.get("icc_profile") or (gamma and not _is_srgb_gamma(1 / gamma)))


def _is_srgb_gamma(exponent: float) -> bool:
    return abs(exponent * _SRGB_GAMMA - 1) < 0.05


def _by_profile(image: Image.Image, profile: bytes) -> tuple[Image.Image, str | None]:
    colours, alpha = _split(image)
    try:
        wanted = _mode_of(profile)
        if wanted is None or (wanted != colours.mode and (wanted, colours.mode) != ("RGB", "L")):
            return image, NO_PROFILE  # such as a CMYK profile in an RGB image
        transform = _transform(threading.get_ident(), profile, wanted)
        if transform is None:
            return image, None
        source = colours if colours.mode == wanted else colours.convert(wanted)
        converted = ImageCms.applyTransform(source, transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image, NO_PROFILE
    assert converted is not None  # it would be None only in place
    return _joined(converted, alpha), CONVERTED


def _split(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return an image without transparency, and its alpha channel as a grey image, if any."""
    if image.mode in ("1", "P", "PA", "La", "LA", "RGBa", "RGBA") or "transparency" in image.info:
        full = _rgba(image)
        alpha = full.getchannel("A") if image.has_transparency_data else None
        grey = image.mode in ("1", "La", "LA", "L")
        return full.convert("RGB").convert("L" if grey else "RGB"), alpha
    if image.mode in ("L", "RGB", "CMYK"):
        return image, None
    return image.convert("RGB"), None


def _rgba(image: Image.Image) -> Image.Image:
    if image.mode == "La":  # pillow converts premultiplied grey only to this
        image = image.convert("LA")
    return image.convert("RGBA")


def _joined(colours: Image.Image, alpha: Image.Image | None) -> Image.Image:
    if alpha is not None:
        colours = colours.convert("RGBA")
        colours.putalpha(alpha)
    return colours


@functools.lru_cache(maxsize=64)
def _mode_of(profile: bytes) -> str | None:
    """Return the Pillow mode that a profile is for; None unless it is RGB, grey or CMYK."""
    opened = ImageCms.getOpenProfile(io.BytesIO(profile))
    space = opened.profile.xcolor_space.strip()
    return {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(space)


@functools.lru_cache(maxsize=64)
def _transform(thread: int, profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform to sRGB for one thread; None if it would change nothing visible."""
    source = ImageCms.getOpenProfile(io.BytesIO(profile))
    target = ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(source, target, mode, "RGB")
    if mode == "CMYK":
        return transform
    if mode == "L":
        probe = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    else:
        axis = np.linspace(0, 255, 9).round().astype(np.uint8)
        probe = Image.fromarray(np.stack(np.meshgrid(axis, axis, axis), -1).reshape(27, 27, 3))
    shown = ImageCms.applyTransform(probe, transform)
    assert shown is not None
    difference = np.asarray(shown).astype(int) - np.asarray(probe.convert("RGB"))
    return transform if np.abs(difference).max() > _NEAR else None


def _by_numbers(
    image: Image.Image, exponent: float, primaries: Chromaticities
) -> tuple[Image.Image, str | None]:
    """Convert by exponent and primaries, assuming the same white: no chromatic adaptation."""
    if len(primaries) != 8 or not 0.1 <= exponent <= 10:
        return image, NO_PROFILE
    same_curve = _is_srgb_gamma(exponent)
    same_primaries = np.allclose(primaries, _SRGB, atol=0.005)
    if same_curve and same_primaries:
        return image, None
    colours, alpha = _split(image)
    if colours.mode == "CMYK":
        return image, NO_PROFILE
    values = np.asarray(colours.convert("RGB")).astype(np.float64) / 255
    linear = srgb_to_linear(values) if same_curve else values**exponent
    if not same_primaries and colours.mode != "L":
        try:
            matrix = np.linalg.solve(_to_xyz(_SRGB), _to_xyz(primaries))
        except (np.linalg.LinAlgError, ZeroDivisionError):
            return image, NO_PROFILE
        linear = linear @ matrix.T
    shown = Image.fromarray(np.rint(linear_to_srgb(linear) * 255).astype(np.uint8))
    return _joined(shown, alpha), CONVERTED


def _to_xyz(chromaticities: Chromaticities) -> NDArray[np.float64]:
    """Return the matrix from linear RGB to XYZ, scaled so that (1, 1, 1) is white."""
    points = [
        np.array([x / y, 1, (1 - x - y) / y])
        for x, y in zip(chromaticities[::2], chromaticities[1::2], strict=True)
    ]
    columns = np.stack(points[1:], axis=1)
    return np.asarray(columns * np.linalg.solve(columns, points[0]))


def srgb_to_linear(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map encoded values in [0, 1] to light (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map light, clipped to [0, 1], to encoded values (IEC 61966-2-1)."""
    light = np.clip(linear, 0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def _says_adobe_rgb(image: Image.Image) -> bool:
    """Whether EXIF says Adobe RGB, as cameras do: the value 2, or uncalibrated and "R03"."""
    try:
        exif = image.getexif()
        space = exif.get_ifd(_EXIF).get(_COLOUR_SPACE)
        index = exif.get_ifd(_INTEROP).get(_INDEX)
    except Exception:  # damaged EXIF makes pillow raise almost anything; only the pixels matter
        return False
    return space == 2 or (space == 0xFFFF and str(index).startswith("R03"))

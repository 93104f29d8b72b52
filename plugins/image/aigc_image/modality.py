"""Images: 8 bits or 16, padded to a power of two in [-1, 1] for networks, saved as PNG."""

import io
import logging
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from torchvision.utils import make_grid

from aigc_core import DataError, Modality, SampleSpec
from aigc_core.datasets import UnreadableError, atomic_file
from aigc_core.notes import PNG, NoteFormat

logger = logging.getLogger("aigc")
MIN_MODEL_SIZE = 32
"""Smallest side, in pixels, of the images that networks see."""
MIN_TILE_WIDTH = 48
"""Smallest width, in pixels, of an image in a preview."""
GRID_PADDING = 2
GRID_GREY = 96
"""Brightness of the lines between images in a preview, so that black images stay distinct."""
WINDOW_PERCENTILES = 0.5, 99.5
"""Which levels of 16-bit images are black and white in a preview."""


class ImageModality(Modality):
    """Square images, grey with 8 or 16 bits, or RGB with 8.

    Stored: uint8 ``(C, H, H)`` with C 1 or 3, or uint16 ``(1, H, H)``. Model form: float32
    ``(C, S, S)``, in which -1 is 0 and 1 the type's largest value, with S the smallest power of two
    that is at least 32 and H; the image is centred in a black border. ``to_stored(to_model(x))``
    equals ``x``, bit for bit.
    """

    formats: ClassVar[tuple[str, ...]] = ("png",)
    notes: ClassVar[Mapping[str, NoteFormat]] = {"png": PNG}
    media_types: ClassVar[Mapping[str, str]] = {"png": "image/png"}

    def __init__(self, spec: SampleSpec) -> None:
        super().__init__(spec)
        if spec.dtype not in ("uint8", "uint16"):
            raise DataError(
                f"Images are stored as uint8 or uint16, and this dataset's are {spec.dtype}. "
                "Scale them to 0..255 or 0..65535 in the dataset's load()."
            )
        if len(spec.shape) != 3 or spec.shape[0] not in (1, 3) or spec.shape[1] != spec.shape[2]:
            raise DataError(
                "Images have the shape (channels, size, size) with 1 or 3 channels, and this "
                f"dataset's have {spec.shape}. Crop or resize them to squares in its load()."
            )
        self._channels, self._height, _ = spec.shape
        self._deep = spec.dtype == "uint16"
        if self._deep and self._channels != 1:
            raise DataError(
                "Images of 16 bits are grey, and this dataset's have 3 channels. Scale them to "
                "uint8 in its load()."
            )
        self._largest, self._dtype = (65535, torch.uint16) if self._deep else (255, torch.uint8)
        self._size = max(MIN_MODEL_SIZE, 1 << (self._height - 1).bit_length())
        self._before = (self._size - self._height) // 2
        self._after = self._size - self._height - self._before

    @property
    def sample_shape(self) -> tuple[int, ...]:
        return (self._channels, self._size, self._size)

    def to_model(self, stored: Tensor) -> Tensor:
        """Map stored ``(B, C, H, H)`` to float32 ``(B, C, S, S)`` in [-1, 1]."""
        # Padding the bytes costs a quarter of padding the floats; black, 0, becomes exactly -1.
        padded = functional.pad(stored, (self._before, self._after) * 2)
        return padded.mul(2 / self._largest).sub_(1)  # integers times a Python float are float32

    def to_stored(self, samples: Tensor) -> Tensor:
        """Map float ``(B, C, S, S)`` to stored ``(B, C, H, H)``, clamping beyond [-1, 1]."""
        kept = slice(self._before, self._before + self._height)
        image = samples[..., kept, kept].float()  # (B, C, S, S) -> (B, C, H, H)
        levels = image.add(1).mul(self._largest / 2).round().clamp(0, self._largest)
        return levels.to(self._dtype)

    def encoded(self, stored: Tensor, format: str) -> bytes:
        """Return stored ``(C, H, H)`` as the bytes of a PNG."""
        self.check_format(format)
        pixels = stored.permute(1, 2, 0).cpu().numpy()  # (C, H, H) -> (H, H, C)
        if self._channels == 1:
            pixels = pixels[..., 0]  # -> (H, H), which pillow takes as grey of its depth
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, format=format)
        return file.getvalue()

    def read(self, path: Path) -> Tensor:
        """Read a PNG as stored ``(C, H, H)``.

        Raises:
            DataError: it is unreadable, of another size, or not of the depth that is stored.
        """
        try:
            with Image.open(path) as image:
                deep = image.mode.startswith("I")
                if deep:
                    pixels = np.asarray(image).astype(np.uint16)
                else:
                    pixels = np.asarray(image.convert("L" if self._channels == 1 else "RGB"))
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read as an image: {error}.") from error
        # (H, H) or (H, H, C) -> (C, H, H)
        stored = torch.from_numpy(pixels.copy()).reshape(*pixels.shape[:2], -1).permute(2, 0, 1)
        if tuple(stored.shape) != self.spec.shape:
            raise DataError(f"{path} has the shape {tuple(stored.shape)}, not {self.spec.shape}.")
        if deep != self._deep:
            bits = (16, 8) if deep else (8, 16)
            raise DataError(f"{path} has {bits[0]} bits, and samples are stored with {bits[1]}.")
        return stored

    def is_readable(self, path: Path) -> bool:
        """Whether it may be a picture, by its suffix."""
        from aigc_image.datasets._decode import SUFFIXES

        return path.suffix.lower() in SUFFIXES

    def adapt(self, path: Path) -> Tensor:
        """Read any image as stored ``(C, H, H)``: cropped and resized as those of folders are.

        Says in the log what it did.
        """
        from aigc_image.datasets._decode import decode
        from aigc_image.options import ImageFolderOptions

        options = ImageFolderOptions(
            size=self._height,
            channels=1 if self._channels == 1 else 3,
            bits=16 if self._deep else 8,
        )
        if not os.path.isfile(path):
            raise DataError(f"There is no file {path}.")
        try:
            with Image.open(path) as image:
                size = image.size
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read as an image: {error}.") from error
        try:
            found = torch.from_numpy(decode(path, options).samples[0])
        except UnreadableError as error:
            raise DataError(f"{path} cannot be read as an image: {error}.") from error
        if size != (self._height, self._height):
            logger.info(
                "%s: %d x %d pixels, cropped to the middle and resized to %d x %d.",
                path.name,
                *size,
                self._height,
                self._height,
            )
        return found

    def preview(self, stored: Tensor, path: Path) -> Path:
        """Write stored ``(N, C, H, H)`` as one 8-bit PNG: a roughly square grid.

        Small images are enlarged by a whole factor, so that pixels stay visible as squares. Of
        16-bit images, the levels from the 0.5th to the 99.5th percentile of all that is shown are
        spread from black to white, and those beyond are black or white.
        """
        tiles = _windowed(stored.cpu()) if self._deep else stored.cpu()
        scale = math.ceil(MIN_TILE_WIDTH / self._height)
        if scale > 1:  # (N, C, H, H) -> (N, C, H * scale, H * scale)
            tiles = tiles.repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3)
        columns = math.ceil(math.sqrt(len(tiles)))
        grid = make_grid(tiles, nrow=columns, padding=GRID_PADDING, pad_value=GRID_GREY)
        pixels = grid.permute(1, 2, 0).numpy()  # make_grid repeats grey: (3, h, w) -> (h, w, 3)
        image = Image.fromarray(pixels[..., 0] if self._channels == 1 else pixels)
        # Not with_suffix: the name may contain dots, such as "step-000500.seed-1".
        target = path.with_name(path.name + ".png")
        with atomic_file(target) as scratch:
            image.save(scratch, format="PNG")
        return target


def _windowed(deep: Tensor) -> Tensor:
    """Return 16-bit images as uint8, spread over what the middle 99 percent of levels use."""
    levels = deep.float().numpy()
    low, high = np.percentile(levels, WINDOW_PERCENTILES)
    if low == high:  # nearly all of one level: show what differs from it
        low, high = levels.min(), levels.max()
    if low == high:
        low, high = 0, 65535
    shown = np.rint((levels - low) * (255 / (high - low))).clip(0, 255)
    return torch.from_numpy(shown.astype(np.uint8))

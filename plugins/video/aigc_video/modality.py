"""Videos: stored as uint8 frames, seen by networks in [-1, 1], saved as MP4 or GIF."""

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision.utils import make_grid

from aigc_core import ConfigError, DataError, Modality, Representation, SampleSpec
from aigc_core.datasets import UnreadableError, atomic_file
from aigc_core.notes import GIF, PNG, NoteFormat
from aigc_video.axes import ChannelsFirst
from aigc_video.notes import MP4
from aigc_video.options import MAX_RATE_HZ

logger = logging.getLogger("aigc")
MIN_TILE_WIDTH = 48
"""Smallest width, in pixels, of a frame in a preview."""
MAX_STRIP_FRAMES = 16
"""How many frames of a clip a preview shows in a row, at most, evenly spaced."""
GRID_PADDING = 2
GRID_GREY = 96
"""Brightness of the lines between frames in a preview, so that black frames stay distinct."""


class VideoModality(Modality):
    """Clips of one length, size and frame rate, grey or RGB.

    Stored: uint8 ``(T, C, H, W)`` with C 1 or 3, ``spec.units["frame_rate_hz"]`` frames a second.
    Model form: float32 ``(T, C, H, W)`` in [-1, 1]. Networks of 3-D convolutions want channels
    first: ``axes.ChannelsFirst`` swaps them, which is also this modality's ``representation``.
    ``to_stored(to_model(x))`` equals ``x``, bit for bit.
    """

    formats: ClassVar[tuple[str, ...]] = ("mp4", "gif")
    notes: ClassVar[Mapping[str, NoteFormat]] = {"mp4": MP4, "gif": GIF, "png": PNG}
    media_types: ClassVar[Mapping[str, str]] = {"mp4": "video/mp4", "gif": "image/gif"}

    def __init__(self, spec: SampleSpec) -> None:
        super().__init__(spec)
        if spec.dtype != "uint8":
            raise DataError(
                f"Videos are stored as uint8, and this dataset's are {spec.dtype}. "
                "Scale them to 0..255 in the dataset's load()."
            )
        if len(spec.shape) != 4 or spec.shape[1] not in (1, 3) or min(spec.shape) < 1:
            raise DataError(
                "Clips have the shape (frames, channels, height, width) with 1 or 3 channels, and "
                f"this dataset's have {spec.shape}. Arrange them so in its load()."
            )
        rate_hz = spec.units.get("frame_rate_hz")
        if rate_hz is None or not 0 < rate_hz <= MAX_RATE_HZ:
            raise DataError(
                "The data does not say how many frames a second has, or not a number up to "
                f"{MAX_RATE_HZ:g}. Give frame_rate_hz in the units of the dataset's SampleSpec."
            )
        self.frame_rate_hz = rate_hz
        self._channels = spec.shape[1]
        self.lossy_formats = ("mp4",) if self._channels == 1 else ("mp4", "gif")

    def representation(self) -> Representation:
        """Channels first: ``(C, T, H, W)``."""
        return ChannelsFirst(self.sample_shape)

    def to_model(self, stored: Tensor) -> Tensor:
        """Map uint8 ``(B, T, C, H, W)`` to float32 of the same shape in [-1, 1]."""
        return stored.mul(2 / 255).sub_(1)  # uint8 times a Python float is float32

    def to_stored(self, samples: Tensor) -> Tensor:
        """Map float ``(B, T, C, H, W)`` to uint8, clamping values beyond [-1, 1]."""
        return samples.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)

    def encoded(self, stored: Tensor, format: str) -> bytes:
        """Return uint8 ``(T, C, H, W)`` as the bytes of an MP4 or GIF."""
        from aigc_video.files import MAX_GIF_RATE_HZ, encoded_gif, encoded_mp4

        self.check_format(format)
        if format == "gif" and self.frame_rate_hz > MAX_GIF_RATE_HZ:
            raise ConfigError(
                f"A GIF cannot show {self.frame_rate_hz:g} frames a second. Save as 'mp4'."
            )
        encoded = encoded_gif if format == "gif" else encoded_mp4
        return encoded(_channels_last(stored), self.frame_rate_hz)

    def read(self, path: Path) -> Tensor:
        """Read an MP4 or GIF that ``save`` wrote as uint8 ``(T, C, H, W)``.

        Raises:
            DataError: it cannot be read, or has another size or number of frames than the spec.
        """
        from aigc_video.files import decoded

        frames, _, height, width = self.spec.shape
        try:
            pixels = decoded(path)  # (T, H, W, 3)
        except UnreadableError as error:
            raise DataError(f"{path} cannot be read as a video: {error}.") from error
        count, *size = pixels.shape[:3]
        even = [height + height % 2, width + width % 2]  # as an MP4 is filled up
        if count != frames or size not in ([height, width], even):
            raise DataError(
                f"{path} has {count} frames of {size[1]}x{size[0]} pixels, not {frames} of "
                f"{width}x{height}."
            )
        kept = torch.from_numpy(pixels[:, :height, :width].copy()).permute(0, 3, 1, 2)
        if self._channels == 1:  # what a codec did to the three may differ
            kept = kept.float().mean(1, keepdim=True).round().to(torch.uint8)
        return kept.contiguous()

    def is_readable(self, path: Path) -> bool:
        """Whether it may be a video, by its suffix."""
        from aigc_video.datasets._decode import SUFFIXES

        return path.suffix.lower() in SUFFIXES

    def adapt(self, path: Path) -> Tensor:
        """Read any video as uint8 ``(T, C, H, W)``, as folders are: its beginning.

        It is resampled in time, cropped to its middle and resized; if it is too short, its last
        frame is held. Says in the log what it did.
        """
        from aigc_video.datasets._decode import REMARKS, REST, SHORT, Wanted, decode, facts_of

        if not path.is_file():
            raise DataError(f"There is no file {path}.")
        wanted = Wanted.of(self.spec)
        try:
            facts = facts_of(path)
            found = decode(path, wanted, all_clips=False)
        except UnreadableError as error:
            raise DataError(f"{path} cannot be read as a video: {error}.") from error
        done = []
        if abs((facts.frame_rate_hz or 0) / self.frame_rate_hz - 1) > 0.05:  # not by rounding
            done.append(f"resampled to {self.frame_rate_hz:g} frames a second")
        if REST in found.remarks:
            done.append(f"cut after {wanted.frames / self.frame_rate_hz:.3g} s")
        if SHORT in found.remarks:
            done.append(f"held at its last frame up to {wanted.frames / self.frame_rate_hz:.3g} s")
        if (facts.width, facts.height) != (wanted.width, wanted.height):
            done.append(f"cropped to the middle and resized to {wanted.width} x {wanted.height}")
        if done:
            logger.info(
                "%s: %d x %d pixels%s; %s.",
                path.name,
                facts.width,
                facts.height,
                f" at {facts.frame_rate_hz:.3g} frames a second" if facts.frame_rate_hz else "",
                ", ".join(done),
            )
        for remark in found.remarks:
            if remark not in (REST, SHORT):
                logger.warning(REMARKS[remark].format(count=1, total=1, files=path.name))
        return torch.from_numpy(found.samples[0])

    def preview(self, stored: Tensor, path: Path) -> Path:
        """Write uint8 ``(N, T, C, H, W)`` as a picture to look at, and one that moves.

        ``<path>.png``, which is returned, shows each clip as a row of frames, the first at the
        left, and at most 16 of them. ``<path>.gif`` beside it shows all clips as a grid, at their
        rate, or at 50 frames a second if that is less. Small frames are enlarged by a whole factor.
        """
        from aigc_video.files import MAX_GIF_RATE_HZ, encoded_gif

        clips = _enlarged(stored.cpu())
        frames = clips.shape[1]
        shown = torch.linspace(0, frames - 1, min(frames, MAX_STRIP_FRAMES)).round().long()
        strips = _grid(clips[:, shown].flatten(0, 1), len(shown))
        columns = math.ceil(math.sqrt(len(clips)))
        moving = np.stack([_grid(clips[:, number], columns) for number in range(frames)])
        animation = encoded_gif(moving, min(self.frame_rate_hz, MAX_GIF_RATE_HZ))
        # Not with_suffix: the name may contain dots, such as "step-000500.seed-1".
        with atomic_file(path.with_name(path.name + ".gif")) as scratch:
            scratch.write_bytes(animation)
        picture = path.with_name(path.name + ".png")
        with atomic_file(picture) as scratch:
            Image.fromarray(strips[..., 0] if self._channels == 1 else strips).save(
                scratch, format="PNG"
            )
        return picture


def _channels_last(stored: Tensor) -> NDArray[np.uint8]:
    """Return a clip ``(T, C, H, W)`` as ``(T, H, W, C)``."""
    pixels: NDArray[np.uint8] = stored.cpu().permute(0, 2, 3, 1).numpy()
    return pixels


def _enlarged(clips: Tensor) -> Tensor:
    """Enlarge ``(N, T, C, H, W)`` by a whole factor, so that small frames can be seen."""
    scale = math.ceil(MIN_TILE_WIDTH / clips.shape[-1])
    return clips.repeat_interleave(scale, dim=3).repeat_interleave(scale, dim=4)


def _grid(frames: Tensor, columns: int) -> NDArray[np.uint8]:
    """Return frames ``(N, C, H, W)`` side by side as ``(h, w, C)``."""
    grid = make_grid(frames, nrow=columns, padding=GRID_PADDING, pad_value=GRID_GREY)
    pixels: NDArray[np.uint8] = grid[: frames.shape[1]].permute(1, 2, 0).numpy()
    return pixels  # make_grid repeats grey

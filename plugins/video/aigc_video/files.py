"""Clips as bytes of MP4 and GIF files, and such files as clips."""

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

from aigc_video.datasets._decode import opened_video, upright

MAX_GIF_RATE_HZ = 50.0
"""Most viewers show frames that follow each other faster at a tenth of that."""
_QUALITY = "10"  # of x264's 0 to 51; about 18 looks lossless
_COLOURS = 256
_GREYS = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)


def encoded_mp4(clip: NDArray[np.uint8], rate_hz: float) -> bytes:
    """Encode frames uint8 ``(T, H, W, C)``, C 1 or 3, as H.264 in an MP4 that browsers play.

    Sides are filled up to even numbers by their last row or column.
    """
    frames = np.repeat(clip, 3, axis=-1) if clip.shape[-1] == 1 else clip
    odd = [(0, side % 2) for side in clip.shape[1:3]]
    frames = np.pad(frames, ((0, 0), *odd, (0, 0)), mode="edge")
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=_fraction(rate_hz))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        # Where it weighs frames from both sides, x264 (in PyAV 18) reads memory that nothing was
        # written to, and a clip's bytes differ from time to time.
        stream.options = {"crf": _QUALITY, "bf": "0"}
        stream.codec_context.thread_count = 1
        for number, pixels in enumerate(frames):
            frame = VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            _write(container, stream, frame, number)
        container.mux(stream.encode(None))
    return file.getvalue()


def encoded_gif(clip: NDArray[np.uint8], rate_hz: float) -> bytes:
    """Encode frames uint8 ``(T, H, W, C)``, C 1 or 3, as a GIF that is shown again and again.

    Grey stays as it is; colours are the nearest of a palette of 256, for the whole clip.
    """
    if clip.shape[-1] == 1:
        indices, palette = clip[..., 0], _GREYS
    else:
        indices, palette = _with_palette(clip)
    colours = np.full((_COLOURS, 4), 255, dtype=np.uint8)
    colours[: len(palette), 1:] = palette  # alpha, red, green, blue
    file = io.BytesIO()
    with av.open(file, "w", format="gif") as container:
        stream = container.add_stream("gif", rate=_fraction(rate_hz))
        stream.height, stream.width = indices.shape[1:]
        stream.pix_fmt = "pal8"
        for number, pixels in enumerate(indices):
            pair: Any = (np.ascontiguousarray(pixels), colours)  # which its types leave out
            frame = VideoFrame.from_ndarray(pair, format="pal8")
            _write(container, stream, frame, number)
        container.mux(stream.encode(None))
    return file.getvalue()


def decoded(path: Path) -> NDArray[np.uint8]:
    """Return all frames of a file as RGB uint8 ``(T, H, W, 3)``.

    Raises:
        UnreadableError: it is no video, or damaged.
    """
    with opened_video(path) as video:
        return np.stack([np.asarray(upright(shown.frame)) for shown in video.frames()])


def _write(
    container: av.container.OutputContainer, stream: VideoStream, frame: VideoFrame, number: int
) -> None:
    frame.pts = number
    frame.time_base = 1 / Fraction(stream.average_rate or 1)
    container.mux(stream.encode(frame))


def _with_palette(clip: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return indices ``(T, H, W)`` and colours ``(K, 3)``, K at most 256."""
    frames, height, width, _ = clip.shape
    whole = Image.fromarray(clip.reshape(frames * height, width, 3))  # one below the other
    quantized = whole.quantize(_COLOURS, dither=Image.Dither.NONE)
    palette = np.asarray(quantized.getpalette(), dtype=np.uint8).reshape(-1, 3)
    return np.asarray(quantized).reshape(frames, height, width), palette


def _fraction(rate_hz: float) -> Fraction:
    return Fraction(rate_hz).limit_denominator(1001)  # 23.976 is 24000 / 1001

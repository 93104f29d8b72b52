"""Read sound from containers that libsndfile does not read (MP4, AAC, WebM, WMA), with PyAV."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from aigc_core.datasets import UnreadableError

SUFFIXES = (
    ".m4a", ".m4b", ".mp4", ".aac", ".ac3", ".eac3", ".wma", ".webm", ".weba", ".mka", ".amr",
    ".ape", ".wv", ".tta", ".mpc", ".dts", ".3gp", ".mp2",
)  # fmt: skip
INSTALLED = importlib.util.find_spec("av") is not None


class Contained:
    """The first audio stream of an opened container."""

    def __init__(self, rate_hz: int, channels: int, blocks: Iterator[Tensor]) -> None:
        self.rate_hz = rate_hz
        self.channels = channels
        self.blocks = blocks
        """Float32 ``(channels, n)``, full scale 1."""
        self.damaged = False


@contextmanager
def opened_container(path: Path) -> Iterator[Contained]:
    """Open a file with PyAV.

    Raises:
        UnreadableError: FFmpeg cannot read it, or it holds no sound.
    """
    import av  # an optional dependency

    try:
        container = av.open(str(path))
    except (av.FFmpegError, ValueError) as error:
        raise UnreadableError("not a sound file, or damaged") from error
    with container:
        if not container.streams.audio:
            raise UnreadableError("no sound in it")
        stream = container.streams.audio[0]
        rate_hz, channels = stream.rate, stream.channels
        if not rate_hz or not channels:
            raise UnreadableError("no sound in it")

        def blocks() -> Iterator[Tensor]:
            resampler = av.AudioResampler(format="fltp", layout=stream.layout, rate=rate_hz)
            try:
                for frame in container.decode(stream):
                    for part in resampler.resample(frame):
                        yield torch.from_numpy(part.to_ndarray().copy())
            except av.FFmpegError:
                contained.damaged = True

        contained = Contained(rate_hz, channels, blocks())
        yield contained

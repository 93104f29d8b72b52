"""Videos of known content for the video plugin's tests, and where these find real data."""

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from aigc_core import DataFolders

Write = Callable[..., Path]


@pytest.fixture
def no_root(tmp_path: Path) -> DataFolders:
    """No data of the user's: only what is embedded."""
    return DataFolders(root=None, cache=tmp_path / "cache")


@pytest.fixture
def write_video() -> Write:
    """Write frames with PyAV alone, at times of their own if they are given."""

    def write(
        path: Path,
        frames: np.ndarray,
        rate: int = 8,
        *,
        codec: str = "libx264",
        pixels: str = "yuv444p",
        times_s: list[float] | None = None,
        aspect: Fraction | None = None,
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=rate)
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = pixels
            if codec == "libx264":
                stream.options = {"crf": "1"}
            if aspect is not None:
                stream.codec_context.sample_aspect_ratio = aspect
            if codec == "mpeg2video":  # which has few time bases, and no 4:4:4
                stream.pix_fmt = "yuv420p"
            else:
                stream.codec_context.time_base = Fraction(1, 1000)
            for number, picture in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                time_s = number / rate if times_s is None else times_s[number]
                frame.pts, frame.time_base = round(1000 * time_s), Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return write


@pytest.fixture
def write_sound() -> Callable[[Path], Path]:
    """Write a second of silence into any container."""

    def write(path: Path) -> Path:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=8000, layout="mono")
            frame = av.AudioFrame.from_ndarray(
                np.zeros((1, 8000), np.float32), format="fltp", layout="mono"
            )
            frame.sample_rate = 8000
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return write


@pytest.fixture(scope="session")
def real_mnist() -> Path:
    """The folder of the real MNIST: AIGC_TEST_DATA, or shared/data beside the repository."""
    beside = Path(__file__).resolve().parents[4] / "shared" / "data"
    folder = Path(os.environ.get("AIGC_TEST_DATA") or beside)
    if not (folder / "mnist" / "MNIST" / "raw").is_dir():
        pytest.skip(f"the real MNIST is not in {folder} (set AIGC_TEST_DATA)")
    return folder

"""Clips on their way to networks, to files and back."""

import logging
import os
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from PIL import Image

from aigc_core import ConfigError, DataError, SampleSpec
from aigc_video.modality import VideoModality


def modality(shape=(6, 1, 16, 16), rate: float = 8.0) -> VideoModality:
    return VideoModality(SampleSpec(shape=shape, dtype="uint8", units={"frame_rate_hz": rate}))


def clips(count: int, shape=(6, 1, 16, 16)) -> torch.Tensor:
    """Smooth clips that move: what a codec is made for."""
    frames, channels, height, width = shape
    t, c, y, x = torch.meshgrid(
        *(torch.arange(n, dtype=torch.float32) for n in (frames, channels, height, width)),
        indexing="ij",
    )
    waves = [((x + y / 2 + t + 3 * c + 5 * n) / 4).sin() * 100 + 128 for n in range(count)]
    return torch.stack(waves).to(torch.uint8)


def test_every_byte_survives_the_way_to_the_model_and_back() -> None:
    stored = torch.arange(256).to(torch.uint8).view(1, 1, 1, 16, 16)
    video = modality((1, 1, 16, 16))
    seen = video.to_model(stored)
    assert (seen.dtype, float(seen.min()), float(seen.max())) == (torch.float32, -1, 1)
    assert torch.equal(video.to_stored(seen), stored)
    assert video.to_stored(torch.tensor([-7.0, 7.0])).tolist() == [0, 255]


def test_networks_get_channels_first() -> None:
    video = modality((4, 3, 8, 6))
    form = video.representation()
    assert form.shape == (3, 4, 8, 6)
    samples = torch.rand(2, 4, 3, 8, 6)
    assert torch.equal(form(samples)[1, 2, 3], samples[1, 3, 2])
    assert torch.equal(form.restore(form(samples)), samples)
    assert form.restore(torch.full((1, 3, 4, 8, 6), 2.0)).max() == 1


@pytest.mark.parametrize("shape", [(6, 1, 16, 16), (5, 3, 32, 24), (2, 1, 8, 8), (3, 3, 17, 15)])
def test_an_mp4_is_read_back_within_what_its_codec_loses(shape, tmp_path) -> None:
    video, stored = modality(shape), clips(2, shape)
    paths = video.save(stored, tmp_path, format="mp4", start=7)
    assert [path.name for path in paths] == ["000007.mp4", "000008.mp4"]
    for path, clip in zip(paths, stored, strict=True):
        off = (video.read(path).float() - clip.float()).abs()
        assert off.mean() < (2 if shape[1] == 1 else 6)  # colours have half the sides
    assert "mp4" in video.lossy_formats


ENCODE = """
import hashlib, torch
from aigc_core import DataFolders, SampleSpec
from aigc_video.datasets.moving_digits import MovingDigits
from aigc_video.modality import VideoModality
from aigc_video.options import MovingDigitsOptions

digits = MovingDigits(MovingDigitsOptions(), DataFolders(None, None))
store = digits.load("train")
modality = VideoModality(store.spec)
clips = b"".join(modality.encoded(clip, "mp4") for clip in store.arrays["samples"][:12])
print(hashlib.sha256(clips).hexdigest())
"""


def test_an_mp4_does_not_depend_on_what_was_in_memory_before() -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", ENCODE],
            env={**os.environ, "MALLOC_PERTURB_": str(number)},  # glibc's: what new memory holds
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for number in (85, 170)
    }
    assert len(found) == 1


def test_grey_gifs_are_exact_and_colours_the_nearest_of_256(tmp_path) -> None:
    grey = modality()
    assert grey.lossy_formats == ("mp4",)
    noise = torch.randint(0, 256, (1, 6, 1, 16, 16), dtype=torch.uint8)
    noise[0, 3] = noise[0, 2]  # a frame like the one before is a frame, too
    (path,) = grey.save(noise, tmp_path, format="gif")
    assert torch.equal(grey.read(path), noise[0])

    colours = modality((4, 3, 16, 16))
    assert "gif" in colours.lossy_formats
    smooth = clips(1, (4, 3, 16, 16))
    (path,) = colours.save(smooth, tmp_path, format="gif", start=1)
    assert (colours.read(path).float() - smooth[0].float()).abs().mean() < 6
    few = torch.zeros(1, 4, 3, 16, 16, dtype=torch.uint8)
    few[:, :, 0, :8], few[:, :, 2, 4:] = 200, 90
    (path,) = colours.save(few, tmp_path, format="gif", start=2)
    assert torch.equal(colours.read(path), few[0])


@pytest.mark.parametrize("rate", [8.0, 24000 / 1001, 12.5])
def test_files_have_the_frame_rate_of_the_data(rate: float, tmp_path) -> None:
    video = modality(rate=rate)
    (path,) = video.save(clips(1), tmp_path, format="mp4")
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == Fraction(rate).limit_denominator(1001)
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"  # browsers play that
    (path,) = video.save(clips(1), tmp_path, format="gif")
    with Image.open(path) as picture:
        assert picture.info["loop"] == 0  # again and again
        total = 0
        for number in range(picture.n_frames - 1):
            picture.seek(number)
            total += picture.info["duration"]
    assert total / 1000 == pytest.approx(5 / rate, abs=0.011)


def test_what_is_no_video_of_the_data_is_a_sentence(tmp_path) -> None:
    video = modality()
    (path,) = video.save(clips(1), tmp_path, format="mp4")
    with pytest.raises(DataError, match="has 6 frames of 16x16 pixels, not 5 of 16x16"):
        modality((5, 1, 16, 16)).read(path)
    with pytest.raises(DataError, match="not 6 of 8x8"):
        modality((6, 1, 8, 8)).read(path)
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(DataError, match="cannot be read as a video: not a video"):
        video.read(tmp_path / "text.mp4")
    with pytest.raises(ConfigError, match=r"cannot be saved as 'mpeg'\. Did you mean 'mp4'"):
        video.save(clips(1), tmp_path, format="mpeg")
    with pytest.raises(ConfigError, match=r"A GIF cannot show 60 frames a second\. Save as 'mp4'"):
        modality(rate=60).save(clips(1), tmp_path, format="gif")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"dtype": "float32"}, "stored as uint8"),
        ({"shape": (6, 2, 16, 16)}, "with 1 or 3 channels"),
        ({"shape": (6, 16, 16)}, "with 1 or 3 channels"),
        ({"units": {}}, "frame_rate_hz"),
        ({"units": {"frame_rate_hz": 0.0}}, "frame_rate_hz"),
    ],
)
def test_data_that_is_no_video_is_refused(spec, message: str) -> None:
    facts = {"shape": (6, 1, 16, 16), "dtype": "uint8", "units": {"frame_rate_hz": 8.0}}
    with pytest.raises(DataError, match=message):
        VideoModality(SampleSpec(**facts | spec))


@pytest.mark.parametrize(("frames", "shown"), [(6, 6), (40, 16)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_preview_is_a_strip_for_each_clip_and_a_gif_that_moves(
    frames: int, shown: int, channels: int, tmp_path
) -> None:
    stored = torch.zeros(3, frames, channels, 16, 16, dtype=torch.uint8)
    stored += (torch.arange(frames) * 5)[None, :, None, None, None].to(torch.uint8)
    stored[2] = 255
    picture = modality((frames, channels, 16, 16)).preview(stored, tmp_path / "step-7.v1")
    assert picture == tmp_path / "step-7.v1.png"
    with Image.open(picture) as strip:
        assert strip.size == (shown * 50 + 2, 3 * 50 + 2)  # 48 pixels each, and lines
        pixels = np.asarray(strip.convert("L"))
    row = pixels[26, 26::50]
    assert (row[0], row[-1]) == (0, (frames - 1) * 5)
    assert (np.diff(row.astype(int)) > 0).all()
    assert (pixels[126, 26::50] == 255).all()
    with Image.open(tmp_path / "step-7.v1.gif") as moving:
        assert (moving.n_frames, moving.size) == (frames, (102, 102))


def test_any_video_is_made_to_fit_and_that_is_said(write_video, tmp_path, caplog) -> None:
    frames = np.zeros((24, 40, 80, 3), np.uint8)
    frames[:, :, 20:60] = (np.arange(24) * 10)[:, None, None, None]
    path = write_video(tmp_path / "wide.mp4", frames, rate=24)
    caplog.set_level(logging.INFO, "aigc")
    found = modality((6, 1, 16, 16), rate=8).adapt(path)
    assert (found.shape, found.dtype) == ((6, 1, 16, 16), torch.uint8)
    levels = found.float().mean((1, 2, 3))
    # the frames in the middle of each eighth of a second: 1, 4, 7, …
    assert (levels - torch.arange(10, 190, 30)).abs().max() < 4
    assert caplog.messages == [
        "wide.mp4: 80 x 40 pixels at 24 frames a second; resampled to 8 frames a second, cut after "
        "0.75 s, cropped to the middle and resized to 16 x 16."
    ]
    caplog.clear()
    held = modality((12, 1, 16, 16), rate=8).adapt(path)
    assert torch.equal(held[8], held[11])
    assert "held at its last frame up to 1.5 s" in caplog.text


def test_a_file_that_fits_is_taken_without_a_word(tmp_path, caplog) -> None:
    caplog.set_level(logging.INFO, "aigc")
    video, stored = modality(), clips(1)
    for format in video.formats:
        (path,) = video.save(stored, tmp_path, format=format)
        assert (video.adapt(path).float() - video.read(path).float()).abs().max() <= 1
    assert not caplog.messages


def test_what_cannot_be_adapted_is_a_sentence(write_sound, tmp_path) -> None:
    with pytest.raises(DataError, match="There is no file"):
        modality().adapt(tmp_path / "no.mp4")
    with pytest.raises(DataError, match="sound alone in it"):
        modality().adapt(write_sound(tmp_path / "sound.mp4"))

"""Folders of any videos: what becomes of them, and what is said about them."""

import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from aigc_core import DataError, DataFolders
from aigc_video.datasets.folder import VideoFolder
from aigc_video.options import VideoFolderOptions


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "videos"
    path.mkdir()
    return path


def load(root: Path, **options):
    options = {"size": 16, "frames": 4, "channels": 1} | options
    dataset = VideoFolder(
        VideoFolderOptions(**options), DataFolders(root=root, cache=root.parent / "cache")
    )
    dataset.prepare()
    return dataset.load("train")


def brightening(frames: int, step: int = 10, height: int = 32, width: int = 32) -> np.ndarray:
    """Frames of one brightness each: 0, step, 2 * step, …"""
    levels = (np.arange(frames) * step).astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (frames, height, width, 3)).copy()


def levels(store, row: int = 0) -> list[float]:
    """The mean brightness of each frame of a clip."""
    return store.arrays["samples"][row].float().mean((1, 2, 3)).tolist()


def test_a_video_is_cut_into_clips_with_first_frames(root, write_video) -> None:
    write_video(root / "long.mp4", brightening(10))
    store = load(root)
    samples = store.arrays["samples"]
    assert (samples.shape, samples.dtype) == ((2, 4, 1, 16, 16), torch.uint8)
    assert levels(store, 0) == pytest.approx([0, 10, 20, 30], abs=2)
    assert levels(store, 1) == pytest.approx([40, 50, 60, 70], abs=2)
    assert torch.equal(store.arrays["first_frame"], samples[:, 0])
    assert store.spec.units == {"frame_rate_hz": 8}
    assert store.notes == (
        "1 of 1 videos go on after their last clip; that rest is left out: long.mp4.",
    )
    only = load(root, clips="first")
    assert torch.equal(only.arrays["samples"], samples[:1])


@pytest.mark.parametrize(
    ("rate", "expected"),
    [(8, [0, 10, 20, 30]), (16, [0, 20, 40, 60]), (24, [10, 40, 70, 100]), (4, [0, 0, 10, 10])],
)
def test_in_time_the_frame_is_taken_that_is_shown(root, write_video, rate, expected) -> None:
    write_video(root / "a.mp4", brightening(12), rate)
    assert levels(load(root)) == pytest.approx(expected, abs=2)


def test_frames_count_by_their_times_and_not_by_their_number(root, write_video) -> None:
    times = [0.0, 0.125, 0.25, 0.75, 0.875]  # the third is shown for half a second
    write_video(root / "a.mkv", brightening(5), times_s=times)
    assert levels(load(root, frames=8)) == pytest.approx([0, 10, 20, 20, 20, 20, 30, 40], abs=2)


def test_the_last_frame_of_a_short_video_is_held(root, write_video) -> None:
    write_video(root / "short.mp4", brightening(3))
    store = load(root, frames=6)
    assert levels(store) == pytest.approx([0, 10, 20, 20, 20, 20], abs=2)
    assert "1 of 1 videos are shorter than a clip; their last frame is held" in store.notes[0]


def test_the_middle_is_kept_and_sub_folders_are_classes(root, write_video) -> None:
    frames = brightening(4, 0, 20, 60)
    frames[:, :, 20:40, 1] = 200  # green in the middle
    write_video(root / "green" / "a.mp4", frames)
    write_video(root / "dark" / "b.webm", brightening(4), codec="libvpx", pixels="yuv420p")
    store = load(root, channels=3)
    assert store.label_names == ("dark", "green")
    green = store.arrays["samples"][store.arrays["labels"] == 1][0]
    assert green[:, 1].float().mean() == pytest.approx(200, abs=4)
    assert green[:, 1].min() > 150


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.mov", "libx264", "yuv420p"),
        ("a.mkv", "libx264", "yuv420p"),
        ("a.avi", "mpeg4", "yuv420p"),
        ("a.mpg", "mpeg2video", "yuv420p"),
        ("a.ts", "libx264", "yuv420p"),
        ("a.flv", "flv", "yuv420p"),
        ("a.wmv", "wmv2", "yuv420p"),
        ("a.gif", "gif", "rgb8"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
    ],
)
def test_usual_containers_are_read(root, write_video, name, codec, pixels) -> None:
    write_video(root / name, brightening(25, 8), 25, codec=codec, pixels=pixels)
    found = levels(load(root))
    # frames 1, 4, 7 and 10 or neighbours of them; a GIF of few colours is coarse
    assert found == pytest.approx([8, 32, 56, 80], abs=24 if name == "a.gif" else 11)


def test_pixels_that_are_not_square_are_made_so(root, write_video) -> None:
    frames = brightening(4, 0, 32, 32)
    frames[:, :, 12:20] = 255  # a quarter of the width: with pixels 2 wide, half of the square
    write_video(root / "a.mp4", frames, aspect=Fraction(2))
    bright = (load(root).arrays["samples"][0, 0, 0] > 128).double().mean()
    assert bright == pytest.approx(0.5, abs=0.04)


def test_videos_of_phones_are_turned_upright(root, write_video) -> None:
    frames = brightening(4, 0)
    frames[:, :16] = 255  # bright above
    path = write_video(root / "a.mp4", frames)
    data = bytearray(path.read_bytes())
    one, quarter = 1 << 16, 1 << 30
    upright = struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, quarter)
    place = data.index(upright, data.index(b"tkhd"))
    for turned, bright in (
        ((0, one, 0, -one, 0, 0), "right"),  # a quarter clockwise
        ((-one, 0, 0, 0, -one, 0), "below"),
        ((0, -one, 0, one, 0, 0), "left"),
    ):
        data[place : place + 36] = struct.pack(">9i", *turned, 0, 0, quarter)
        path.write_bytes(data)
        frame = load(root).arrays["samples"][0, 0, 0].float()
        sides = {
            "above": frame[:4].mean(),
            "below": frame[-4:].mean(),
            "left": frame[:, :4].mean(),
            "right": frame[:, -4:].mean(),
        }
        assert max(sides, key=sides.__getitem__) == bright


def test_what_cannot_be_used_is_named_with_the_reason(root, write_video, write_sound) -> None:
    good = write_video(root / "good.mp4", brightening(8, 9, 64, 64))
    write_video(root / "one.mp4", brightening(1))
    write_sound(root / "sound.mp4")
    (root / "text.mp4").write_text("this is no video" * 50)
    (root / "empty.mp4").write_bytes(b"")
    noise = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)
    whole = write_video(root / "cut.mp4", noise).read_bytes()
    (root / "cut.mp4").write_bytes(whole[: len(whole) // 2])  # without its index
    (root / "list.mp4").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{good}\n")
    store = load(root)
    assert len(store) == 2
    (note,) = store.notes
    assert note.startswith("Skipped files that cannot be read: ")
    for reason in (
        "cut.mp4 (not a video, in a container that is not read, or damaged)",
        "empty.mp4 (not a video",
        "list.mp4 (not a video",
        "one.mp4 (a single frame, which is a picture in it)",
        "sound.mp4 (sound alone in it)",
        "text.mp4 (not a video",
    ):
        assert reason in note


def test_a_change_of_size_is_refused(root, write_video) -> None:
    """MPEG transport streams can be joined by their bytes."""
    joined = b""
    for side in (32, 64):
        part = write_video(root / "part.ts", brightening(8, 9, side, side), 25, codec="mpeg2video")
        joined += part.read_bytes()
        part.unlink()
    (root / "joined.ts").write_bytes(joined)
    with pytest.raises(DataError, match="its frames change from 32x32 to 64x64 pixels at frame"):
        load(root)


def test_without_any_video_it_says_what_was_looked_for(root) -> None:
    (root / "a.png").write_bytes(b"")
    (root / "b.h264").write_bytes(b"")
    with pytest.raises(DataError) as error:
        load(root)
    message = str(error.value)
    assert "There is no video in" in message
    assert ".mp4" in message
    assert "image-folder" in message
    assert "ffmpeg -i FILE -c copy FILE.mp4" in message


def damaged_in_the_middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 20_000] = np.random.default_rng(1).bytes(20_000)
    path.write_bytes(data)


def test_a_damaged_middle_is_refused_or_said(root, write_video) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)
    damaged_in_the_middle(write_video(root / "a.mp4", noise))
    with pytest.raises(DataError, match=r"a\.mp4 \(damaged after \d+ frames\)"):
        load(root)
    damaged_in_the_middle(write_video(root / "b.mkv", noise))  # which FFmpeg passes over
    store = load(root)
    assert 2 <= len(store) <= 9
    assert any("1 of 1 videos end earlier than their header says" in n for n in store.notes)

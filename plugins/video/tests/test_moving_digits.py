"""Digits that move: inside the frame, at a constant speed, bouncing, the same each time."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from aigc_core import DataFolders
from aigc_core.errors import ConfigError
from aigc_image.datasets.mnist import Mnist
from aigc_image.options import MnistOptions
from aigc_video.datasets.moving_digits import SUBPIXELS, MovingDigits, bouncing, drawn
from aigc_video.options import MovingDigitsOptions


def load(folders: DataFolders, split: str = "train", **options):
    dataset = MovingDigits(MovingDigitsOptions(**{"count": 120, **options}), folders)
    dataset.prepare()
    return dataset.load(split)


def test_clips_have_the_asked_length_size_and_rate_and_a_first_frame(no_root) -> None:
    store = load(no_root, frames=10, size=24, digit=12, frame_rate_hz=5)
    samples = store.arrays["samples"]
    assert (samples.shape, samples.dtype) == ((120, 10, 1, 24, 24), torch.uint8)
    assert store.spec.shape == (10, 1, 24, 24)
    assert store.spec.units == {"frame_rate_hz": 5}
    assert torch.equal(store.arrays["first_frame"], samples[:, 0])
    assert store.columns["first_frame"].modality == "image"
    assert store.columns["first_frame"].spec.shape == (1, 24, 24)
    assert len(load(no_root, "test")) == 20


def test_it_bounces_off_both_ends_at_a_constant_speed() -> None:
    where = bouncing(torch.tensor([[2, 9]]), torch.tensor([[-3, 4]]), 8, 10)
    assert where[0, :, 0].tolist() == [2, 1, 4, 7, 10, 7, 4, 1]
    assert where[0, :, 1].tolist() == [9, 7, 3, 1, 5, 9, 7, 3]


def test_positions_stay_inside_and_steps_are_never_longer_than_the_speed() -> None:
    rng = torch.Generator().manual_seed(0)
    start = torch.randint(101, (500, 2), generator=rng)
    speed = torch.randint(-250, 251, (500, 2), generator=rng)  # bounces twice in a step, too
    where = bouncing(start, speed, 40, 100)
    assert torch.equal(where[:, 0], start)
    assert (where.min(), where.max()) == (0, 100)
    steps = (where[:, 1:] - where[:, :-1]).abs()
    assert (steps <= speed.abs()[:, None]).all()
    free = (where[:, 1:-1] > 0) & (where[:, 1:-1] < 100)
    slow = (speed.abs() < 25)[:, None] & free  # away from the ends a step is the speed
    away = (where[:, :-2] - speed[:, None]).clamp(0, 100) == where[:, :-2] - speed[:, None]
    assert slow.any()
    assert away.any()


def test_a_picture_between_pixels_is_shared_between_them() -> None:
    picture = torch.full((1, 1, 1), 200, dtype=torch.uint8)
    quarter = SUBPIXELS // 4
    where = torch.tensor([[[0, 0], [1 * SUBPIXELS, 2 * SUBPIXELS], [quarter, 2 * quarter]]])
    frames = drawn(picture, where, 4)
    assert frames.shape == (1, 3, 4, 4)
    assert frames[0, 0, 0, 0] == 200
    assert frames[0, 1, 1, 2] == 200
    assert [int(frame.count_nonzero()) for frame in frames[0]] == [1, 1, 4]
    assert frames[0, 2, :2, :2].tolist() == [[75, 75], [25, 25]]


def centres(samples: torch.Tensor) -> torch.Tensor:
    """The centre of brightness of each frame of ``(N, T, 1, S, S)``: ``(N, T, 2)``, in pixels."""
    mass = samples[:, :, 0].double()
    places = torch.arange(mass.shape[-1], dtype=torch.float64)
    total = mass.sum((-2, -1))
    return torch.stack([mass.sum(3) @ places / total, mass.sum(2) @ places / total], -1)


def test_the_same_digit_moves_through_each_clip_without_being_cut(no_root) -> None:
    samples = load(no_root, speed=2).arrays["samples"]
    brightness = samples.double().sum((2, 3, 4))
    assert (brightness / brightness[:, :1] - 1).abs().max() < 0.01  # rounding alone
    steps = centres(samples).diff(dim=1).abs()
    assert steps.max() < 2.05
    assert steps.amax(1).min() > 0.45  # nothing stands still: at least a quarter of the speed
    turns = (centres(samples).diff(dim=1).sign().diff(dim=1) != 0).any(1)
    assert turns.double().mean() > 0.3  # bounces are no exception


def test_it_is_the_same_each_time_and_other_pictures_are_held_out(no_root) -> None:
    first, again = load(no_root), load(no_root)
    assert all(torch.equal(first.arrays[name], again.arrays[name]) for name in first.arrays)

    def sums(store) -> set[int]:  # a digit's brightness, whatever its place
        return {round(float(clip[0].double().mean()), 1) for clip in store.arrays["samples"]}

    held_out = load(no_root, "test", count=1000)
    assert not torch.equal(first.arrays["samples"][:20], held_out.arrays["samples"][:20])
    dataset = MovingDigits(MovingDigitsOptions(), no_root)
    train, test = (dataset._pictures(split)[0] for split in ("train", "test"))
    assert (len(train), len(test)) == (1500, 297)


def test_labels_are_those_of_the_pictures(no_root) -> None:
    dataset = MovingDigits(MovingDigitsOptions(count=50, digit=16, size=17), no_root)
    store = dataset.load("train")
    pictures, labels, names = dataset._pictures("train")
    assert names == store.label_names
    for clip, label in zip(store.arrays["samples"], store.arrays["labels"], strict=True):
        like = [
            int(labels[row])
            for row in (pictures.double().sum((1, 2)) - clip[0].double().sum()).abs().argsort()[:9]
        ]
        assert int(label) in like  # among those of the same brightness


def test_digits_of_mnist_can_be_taken(real_mnist: Path, tmp_path: Path) -> None:
    folders = DataFolders(real_mnist, tmp_path)
    for split in ("train", "test"):
        store = load(folders, split, source="mnist", digit=20, count=60)
        assert store.arrays["samples"].shape[1:] == (16, 1, 32, 32)
        known = Mnist(MnistOptions(size=20), folders).load(split)
        of_digit = known.arrays["samples"][known.arrays["labels"] == store.arrays["labels"][0]]
        total = store.arrays["samples"][0, 0].double().sum()
        assert (of_digit.double().sum((1, 2, 3)) / total - 1).abs().min() < 0.01


def test_a_digit_that_fills_the_frame_is_refused() -> None:
    with pytest.raises((ConfigError, ValidationError), match="leaves no room to move in size=16"):
        MovingDigitsOptions(digit=16, size=16)

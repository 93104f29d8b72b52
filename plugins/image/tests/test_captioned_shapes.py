"""Shapes that are what their captions say, and combinations that are never trained on."""

import pytest
import torch

from aigc_core import DataFolders
from aigc_image.datasets.captioned_shapes import (
    CAPTION_LENGTH,
    COLOURS,
    COMBINATIONS,
    HELD_OUT,
    SEEN,
    CaptionedShapes,
    Combination,
    draw,
)
from aigc_image.options import CaptionedShapesOptions


def picture(*words: str, size: int = 64) -> torch.Tensor:
    """(3, size, size) of one combination."""
    rng = torch.Generator().manual_seed(0)
    return draw([Combination(*words)], torch.tensor([0]), size, rng)[0].float()


def load(split: str, cache, count: int = 600):
    options = CaptionedShapesOptions(count=count)
    dataset = CaptionedShapes(options, DataFolders(None, cache))
    dataset.prepare()
    return dataset.load(split)


def captions(store) -> list[str]:
    return [bytes(t[t > 0].tolist()).decode() for t in store.arrays["text"]]


def test_every_word_is_seen_with_every_other_and_a_sixth_is_held_out() -> None:
    assert len(SEEN) + len(HELD_OUT) == len(COMBINATIONS) == 192
    assert len(HELD_OUT) == 32

    def pairs(found: list[Combination]) -> set[tuple[str, str]]:
        return {(a, b) for c in found for a in c for b in c if a < b}

    assert pairs(SEEN) == pairs(COMBINATIONS)


def test_captions_are_told_apart_and_fit() -> None:
    said = [c.caption for c in COMBINATIONS]
    assert len(set(said)) == len(said)
    assert max(map(len, said)) <= CAPTION_LENGTH
    assert "two large blue squares at the top" in said
    assert "a small red circle on the left" in said


def test_the_splits_share_no_caption(tmp_path) -> None:
    train, test = load("train", tmp_path), load("test", tmp_path)
    assert (len(train), len(test)) == (600, 60)
    assert set(captions(train)) <= {c.caption for c in SEEN}
    assert set(captions(test)) <= {c.caption for c in HELD_OUT}
    assert train.columns["text"].modality == "text"
    again = load("train", tmp_path)
    assert all(torch.equal(train.arrays[n], again.arrays[n]) for n in train.arrays)


@pytest.mark.parametrize("colour", COLOURS)
def test_a_shape_has_its_colour_on_black(colour: str) -> None:
    drawn = picture("one", "large", colour, "circle", "on the left")
    middle = drawn[:, 32, 16]
    ratio = middle / torch.tensor(COLOURS[colour]).float()
    assert 0.84 < ratio.min() <= ratio.max() < 1.01
    assert ratio.max() - ratio.min() < 0.03
    assert drawn[:, 0, 63].sum() == 0


@pytest.mark.parametrize(
    ("place", "x", "y"),
    [("on the left", 16, 32), ("on the right", 48, 32), ("at the top", 32, 16),
     ("at the bottom", 32, 48)],
)  # fmt: skip
@pytest.mark.parametrize("number", ["one", "two"])
def test_the_middle_is_where_the_caption_says(number: str, place: str, x: int, y: int) -> None:
    ink = picture(number, "small", "red", "square", place).sum(0)
    rows, columns = torch.nonzero(ink > 0, as_tuple=True)
    assert abs(float(columns.float().mean()) - x) < 3
    assert abs(float(rows.float().mean()) - y) < 3
    lines = ink.sum(0) if place.startswith("at") else ink.sum(1)
    gaps = ((lines[:-1] > 0) & (lines[1:] == 0)).sum()
    assert int(gaps) == (1 if number == "one" else 2)


@pytest.mark.parametrize(("shape", "share"), [("circle", 0.785), ("square", 1), ("triangle", 0.5)])
def test_a_shape_fills_as_much_of_its_box_as_its_area_says(shape: str, share: float) -> None:
    ink = picture("one", "large", "green", shape, "at the top", size=256).sum(0)
    full = ink / ink.max()
    rows, columns = torch.nonzero(full > 0.5, as_tuple=True)
    box = (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
    assert float(full.sum() / box) == pytest.approx(share, abs=0.03)


def test_large_is_larger() -> None:
    small, large = (
        picture("one", s, "red", "circle", "at the top").sum() for s in ("small", "large")
    )
    assert float(large / small) == pytest.approx((0.17 / 0.1) ** 2, rel=0.12)

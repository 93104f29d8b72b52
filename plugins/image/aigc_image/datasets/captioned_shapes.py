"""Coloured shapes with captions, drawn by code: words that are known to be true of a picture."""

import itertools
from typing import NamedTuple

import torch
from torch import Tensor

from aigc_core import Column, Dataset, SampleSpec, SampleStore
from aigc_core.datasets import check_split
from aigc_image.options import CaptionedShapesOptions

SHAPES = ("circle", "square", "triangle")
COLOURS = {
    "red": (230, 50, 40),
    "green": (40, 190, 70),
    "blue": (50, 90, 240),
    "yellow": (240, 220, 50),
}
SIZES = {"small": 0.1, "large": 0.17}
"""Half of a shape's height, by the picture's."""
PLACES = {
    "on the left": (-0.25, 0.0),
    "on the right": (0.25, 0.0),
    "at the top": (0.0, -0.25),
    "at the bottom": (0.0, 0.25),
}
"""Where the middle is from the picture's, by its side: right and down are positive."""
NUMBERS = ("one", "two")
CAPTION_LENGTH = 40
"""Bytes of a caption, filled up with zeros."""
_APART = 0.21  # of two shapes, from their middle
_JITTER = 0.03


class Combination(NamedTuple):
    """What a caption says."""

    number: str
    size: str
    colour: str
    shape: str
    place: str

    @property
    def caption(self) -> str:
        """Such as ``a small red circle on the left``, ``two large blue squares at the top``."""
        number, plural = ("a", "") if self.number == "one" else ("two", "s")
        return f"{number} {self.size} {self.colour} {self.shape}{plural} {self.place}"


COMBINATIONS = [
    Combination(*words) for words in itertools.product(NUMBERS, SIZES, COLOURS, SHAPES, PLACES)
]


def is_held_out(combination: Combination) -> bool:
    """Whether a combination is never trained on, though each pair of its words is."""
    colour, shape = list(COLOURS).index(combination.colour), SHAPES.index(combination.shape)
    place = list(PLACES).index(combination.place)
    other = list(SIZES).index(combination.size) + 2 * NUMBERS.index(combination.number)
    return (colour + 2 * shape + 3 * place + other) % 6 == 0


SEEN = [c for c in COMBINATIONS if not is_held_out(c)]
HELD_OUT = [c for c in COMBINATIONS if is_held_out(c)]


class CaptionedShapes(Dataset):
    """One or two circles, squares or triangles on black, and what one would say of them.

    The split ``test`` has only combinations of words that ``train`` lacks.
    """

    options: CaptionedShapesOptions

    def prepare(self) -> None:
        """Do nothing: pictures are drawn when they are loaded."""

    def load(self, split: str) -> SampleStore:
        """Return ``samples`` uint8 ``(N, 3, size, size)``, ``text`` int16 ``(N, 40)`` and labels.

        The labels are the shapes.
        """
        check_split("captioned-shapes", split, ("train", "test"))
        choices = SEEN if split == "train" else HELD_OUT
        count = self.options.count if split == "train" else max(1, self.options.count // 10)
        rng = torch.Generator().manual_seed(1 if split == "train" else 2)
        chosen = torch.randint(len(choices), (count,), generator=rng)
        size = self.options.size
        blocks = [draw(choices, block, size, rng) for block in torch.split(chosen, 4096)]
        shapes = torch.tensor([SHAPES.index(c.shape) for c in choices])
        text = torch.stack([caption_bytes(c.caption) for c in choices])
        return SampleStore(
            arrays={"samples": torch.cat(blocks), "labels": shapes[chosen], "text": text[chosen]},
            spec=SampleSpec(shape=(3, size, size), dtype="uint8"),
            label_names=SHAPES,
            columns={"text": Column(modality="text", spec=CAPTIONS)},
        )


CAPTIONS = SampleSpec(
    shape=(CAPTION_LENGTH,),
    dtype="int16",
    units={"vocabulary_size": 256},
    assets={"tokenizer": '{"kind": "bytes"}'},
)


def caption_bytes(caption: str) -> Tensor:
    """Return the UTF-8 bytes of a caption as int16 ``(40,)``, filled up with zeros."""
    return torch.tensor(list(caption.encode().ljust(CAPTION_LENGTH, b"\0")), dtype=torch.int16)


def draw(choices: list[Combination], chosen: Tensor, size: int, rng: torch.Generator) -> Tensor:
    """Draw pictures, uint8 ``(B, 3, size, size)``.

    Args:
        choices: what can be drawn.
        chosen: int64 ``(B,)``, which of them.
        size: side in pixels.
        rng: moves each picture's middle a little, and its brightness.
    """
    count = len(chosen)

    def of_each(values: list[tuple[float, ...]]) -> Tensor:
        return torch.tensor(values)[chosen]  # (choices, n) -> (B, n)

    middle = of_each([PLACES[c.place] for c in choices])
    middle = middle + (torch.rand(count, 2, generator=rng) * 2 - 1) * _JITTER
    half = of_each([(SIZES[c.size],) for c in choices])[:, :, None]  # (B, 1, 1)
    colours = of_each([COLOURS[c.colour] for c in choices])
    colours = colours * (0.85 + 0.15 * torch.rand(count, 1, generator=rng))
    # two shapes lie across the way that their place is from the middle
    apart = of_each([_apart(c) for c in choices])
    shapes = of_each([(SHAPES.index(c.shape),) for c in choices])[:, :, None]
    places = (torch.arange(size) + 0.5) / size - 0.5
    ink = torch.zeros(count, size, size)
    for sign in (-1, 1):
        x = places[None, None, :] - (middle[:, 0] + sign * apart[:, 0])[:, None, None]
        y = places[None, :, None] - (middle[:, 1] + sign * apart[:, 1])[:, None, None]
        ink = torch.maximum(ink, inked(shapes, x, y, half, size))  # (B, size, size)
    return (ink[:, None] * colours[:, :, None, None]).round().clamp(0, 255).to(torch.uint8)


def inked(shapes: Tensor, x: Tensor, y: Tensor, half: Tensor, size: int) -> Tensor:
    """Return how much of each pixel a shape covers, from 0 to 1; all broadcast.

    Args:
        shapes: their numbers in ``SHAPES``.
        x: the pixels' distances from the shape's middle to the right, by the picture's side.
        y: the same, down.
        half: half of its height.
        size: the picture's side in pixels.
    """
    circle = (x.square() + y.square()).sqrt() - half
    square = torch.maximum(x.abs(), y.abs()) - half * 0.9
    triangle = torch.maximum(x.abs() - (y + half) / 2, y.abs() - half)
    outside = torch.where(shapes == 0, circle, torch.where(shapes == 1, square, triangle))
    return (0.5 - outside * size).clamp(0, 1)


def _apart(combination: Combination) -> tuple[float, float]:
    if combination.number == "one":
        return (0.0, 0.0)
    across = PLACES[combination.place][0] == 0
    return (_APART, 0.0) if across else (0.0, _APART)

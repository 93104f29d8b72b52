"""Digits that move inside a frame and bounce off its edges, drawn by code.

As in Srivastava et al. 2015, "Unsupervised Learning of Video Representations using LSTMs" (Moving
MNIST), with one digit in each clip, whose class is the clip's.
"""

import torch
from torch import Tensor

from aigc_core import Column, Dataset, SampleSpec, SampleStore
from aigc_core.datasets import check_split
from aigc_image.datasets.digits import Digits
from aigc_image.datasets.mnist import Mnist
from aigc_image.options import DigitsOptions, MnistOptions
from aigc_video.options import MovingDigitsOptions

SUBPIXELS = 256
"""Positions and speeds are whole numbers of this part of a pixel, so that clips are the same on
every machine."""
_SEEDS = {"train": 1, "test": 2}
_TRAINED_ON = 1500
"""Pictures of scikit-learn's 1,797 that the split ``train`` has; ``test`` has the others."""
_CHUNK = 256
"""Clips drawn at once; limits the memory for floats."""


class MovingDigits(Dataset):
    """Clips of one digit each, which moves at a constant speed and bounces."""

    options: MovingDigitsOptions

    def prepare(self) -> None:
        """Do nothing for scikit-learn's digits; find or download MNIST."""
        if self.options.source == "mnist":
            self._mnist().prepare()

    def load(self, split: str) -> SampleStore:
        """Return ``samples``, ``first_frame`` and ``labels``.

        ``samples`` is uint8 ``(N, frames, 1, size, size)``, ``first_frame`` uint8
        ``(N, 1, size, size)``, ``labels`` int64 ``(N,)``.
        """
        check_split("moving-digits", split, _SEEDS)
        options = self.options
        pictures, labels, names = self._pictures(split)
        count = options.count if split == "train" else -(-options.count // 6)
        rng = torch.Generator().manual_seed(_SEEDS[split])
        chosen = torch.randint(len(pictures), (count,), generator=rng)
        span = (options.size - options.digit) * SUBPIXELS
        start = torch.randint(span + 1, (count, 2), generator=rng)
        fastest = max(1, round(options.speed * SUBPIXELS))
        speed = torch.randint(max(1, fastest // 4), fastest + 1, (count, 2), generator=rng)
        speed *= 2 * torch.randint(2, (count, 2), generator=rng) - 1
        where = bouncing(start, speed, options.frames, span)
        samples = torch.empty(
            (count, options.frames, 1, options.size, options.size), dtype=torch.uint8
        )
        for first in range(0, count, _CHUNK):
            rows = slice(first, first + _CHUNK)
            samples[rows, :, 0] = drawn(pictures[chosen[rows]], where[rows], options.size)
        return SampleStore(
            arrays={
                "samples": samples,
                "labels": labels[chosen],
                "first_frame": samples[:, 0].clone(),
            },
            spec=SampleSpec(
                shape=tuple(samples.shape[1:]),
                dtype="uint8",
                units={"frame_rate_hz": options.frame_rate_hz},
            ),
            label_names=names,
            columns={"first_frame": first_frame_column(samples)},
        )

    def _mnist(self) -> Mnist:
        return Mnist(MnistOptions(size=self.options.digit), self.folders)

    def _pictures(self, split: str) -> tuple[Tensor, Tensor, tuple[str, ...]]:
        """Return a split's pictures uint8 ``(P, digit, digit)``, their labels, and names."""
        if self.options.source == "mnist":
            store = self._mnist().load(split)
            return store.arrays["samples"][:, 0], store.arrays["labels"], store.label_names
        store = Digits(DigitsOptions(size=self.options.digit), self.folders).load("train")
        order = torch.randperm(len(store), generator=torch.Generator().manual_seed(0))
        rows = order[:_TRAINED_ON] if split == "train" else order[_TRAINED_ON:]
        return store.arrays["samples"][rows, 0], store.arrays["labels"][rows], store.label_names


def first_frame_column(samples: Tensor) -> Column:
    """Say what the first frames of clips ``(N, T, C, S, S)`` are: images."""
    return Column(modality="image", spec=SampleSpec(shape=tuple(samples.shape[2:]), dtype="uint8"))


def bouncing(start: Tensor, speed: Tensor, frames: int, span: int) -> Tensor:
    """Return positions int64 ``(N, frames, 2)`` in [0, span]: a constant speed, mirrored at ends.

    Args:
        start: int64 ``(N, 2)`` in [0, span].
        speed: int64 ``(N, 2)``, added in each frame.
        frames: how many.
        span: at least 1.
    """
    times = torch.arange(frames)[:, None]  # (T, 1)
    free = start[:, None] + speed[:, None] * times  # (N, T, 2)
    return span - (free % (2 * span) - span).abs()


def drawn(pictures: Tensor, where: Tensor, size: int) -> Tensor:
    """Return frames uint8 ``(N, T, size, size)``: a picture on black, interpolated bilinearly.

    All numbers are whole and less than 2**24, so float32 is exact, whatever is added first.

    Args:
        pictures: uint8 ``(N, D, D)``.
        where: int64 ``(N, T, 2)``: row and column of the picture's corner, in ``SUBPIXELS``.
        size: of the frames.
    """
    rows, columns = (_shares(where[..., side], pictures.shape[-1], size) for side in (0, 1))
    spread = rows @ pictures[:, None].float() @ columns.transpose(-1, -2)  # (N, T, S, S)
    return ((spread + SUBPIXELS**2 / 2) / SUBPIXELS**2).floor().to(torch.uint8)


def _shares(corner: Tensor, digit: int, size: int) -> Tensor:
    """Return how much of each row of a picture each row of a frame gets: ``(N, T, size, digit)``.

    In 1 / ``SUBPIXELS``.
    """
    whole, part = corner // SUBPIXELS, corner % SUBPIXELS  # (N, T)
    below = torch.arange(size)[:, None] - torch.arange(digit)  # (S, D)
    offset = below - whole[..., None, None]  # (N, T, S, D): 0 where a row falls
    part = part[..., None, None]
    return (SUBPIXELS - part) * (offset == 0).float() + part * (offset == 1).float()

"""Pairs and unpaired sets made of the digits inside scikit-learn, to translate from and to."""

import torch
from torch import Tensor
from torch.nn import functional

from aigc_core import Column, Dataset, SampleSpec, SampleStore
from aigc_core.datasets import check_split
from aigc_image.datasets.digits import Digits
from aigc_image.options import DigitsOptions

HELD_OUT = 297
HALF = 899


def edges_of(images: Tensor) -> Tensor:
    """Return the outlines of uint8 images ``(N, C, H, H)``: black and white, of the same shape.

    A pixel is white where the brightness changes fast (Sobel's filter).
    """
    flat = images.float().flatten(0, 1)[:, None]  # (N C, 1, H, H)
    across = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    filters = torch.stack([across, across.T])[:, None]  # (2, 1, 3, 3)
    change = functional.conv2d(functional.pad(flat, (1, 1, 1, 1), "replicate"), filters)
    strong = change.square().sum(1).sqrt() > 320  # of at most 1,443
    return (strong.view(images.shape) * 255).to(torch.uint8)


class DigitEdges(Dataset):
    """The digits, and as ``input`` their outlines: pairs, of which 297 are held out."""

    options: DigitsOptions

    def prepare(self) -> None:
        """Do nothing: the data is part of scikit-learn."""

    def load(self, split: str) -> SampleStore:
        """Return ``samples`` and ``input`` uint8 ``(N, 1, size, size)``, and ``labels``."""
        check_split("digit-edges", split, ("train", "test"))
        whole = Digits(self.options, self.folders).load("train")
        rows = slice(None, -HELD_OUT) if split == "train" else slice(-HELD_OUT, None)
        digits = whole.arrays["samples"][rows]
        return SampleStore(
            {"samples": digits, "labels": whole.arrays["labels"][rows], "input": edges_of(digits)},
            whole.spec,
            whole.label_names,
            columns={"input": Column(modality="image", spec=whole.spec)},
        )


class DigitInks(Dataset):
    """Digits in black ink on white, and as ``input`` other digits in white on black: no pairs."""

    options: DigitsOptions

    def prepare(self) -> None:
        """Do nothing: the data is part of scikit-learn."""

    def load(self, split: str) -> SampleStore:
        """Return ``samples`` and ``input`` uint8 ``(N, 1, size, size)``, of two lengths."""
        check_split("digit-inks", split, ("train",))
        digits = Digits(self.options, self.folders).load("train").arrays["samples"]
        spec = SampleSpec(shape=tuple(digits.shape[1:]), dtype="uint8")
        return SampleStore(
            # Halves: every second one of the beginning would be an even digit.
            {"samples": 255 - digits[HALF:], "input": digits[:HALF].clone()},
            spec,
            columns={"input": Column(modality="image", spec=spec, stream="input")},
        )

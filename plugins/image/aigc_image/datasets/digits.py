"""The handwritten digits inside scikit-learn: real data that needs neither network nor files."""

import torch
from sklearn.datasets import load_digits

from aigc_core import Dataset, SampleSpec, SampleStore
from aigc_core.datasets import check_split
from aigc_image.datasets._names import DIGIT_NAMES
from aigc_image.datasets._resize import resized
from aigc_image.options import DigitsOptions


class Digits(Dataset):
    """1,797 enlarged digits of 8x8 pixels, 17 greys (test set of Alpaydin & Kaynak 1998)."""

    options: DigitsOptions

    def prepare(self) -> None:
        """Do nothing: the data is part of scikit-learn."""

    def load(self, split: str) -> SampleStore:
        """Return ``samples`` uint8 ``(1797, 1, size, size)`` and ``labels`` int64 ``(1797,)``."""
        check_split("digits", split, ("train",))
        bunch = load_digits()
        greys = torch.from_numpy(bunch.images).unsqueeze(1)  # (1797, 8, 8) -> (1797, 1, 8, 8)
        size = self.options.size
        return SampleStore(
            arrays={
                "samples": resized(greys * (255 / 16), size, "bicubic"),
                "labels": torch.from_numpy(bunch.target).to(torch.int64),
            },
            spec=SampleSpec(shape=(1, size, size), dtype="uint8"),
            label_names=DIGIT_NAMES,
        )

"""MNIST and the two datasets in its format."""

import os
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torchvision import datasets

from aigc_core import DataError, Dataset, SampleSpec, SampleStore
from aigc_core.datasets import check_split, locked_cache
from aigc_image.datasets._idx_files import download, find_packed, unpack
from aigc_image.datasets._names import DIGIT_NAMES
from aigc_image.datasets._resize import resized
from aigc_image.options import MnistOptions

SIDE = 28
_PREFIXES = {"train": "train", "test": "t10k"}
_IMAGES_HEADER, _LABELS_HEADER = 16, 8  # bytes of an idx file before its values


class _IdxDataset(Dataset):
    """28x28 grey images in idx files.

    Prepared data is four unpacked files in ``<cache>/<name>/``. They are moved there one by one
    only after their MD5s matched torchvision's, so every file there is complete, and ``load`` only
    checks that all four have the right size.
    """

    name: ClassVar[str]
    """Name of the dataset and of its folders."""
    source: ClassVar[Any]  # torchvision ships no types
    """torchvision's class: it knows the mirrors and MD5s."""
    label_names: ClassVar[tuple[str, ...]]
    counts: ClassVar[dict[str, int]] = {"train": 60_000, "test": 10_000}
    """Images in each split."""
    options: MnistOptions

    def prepare(self) -> None:
        folder = self.folders.cache / self.name
        if self._is_complete(folder):
            return
        with locked_cache(self.folders, self.name) as cache:
            if self._is_complete(folder):  # another process was faster
                return
            with tempfile.TemporaryDirectory(dir=cache, prefix=f".{self.name}.") as scratch:
                made = Path(scratch)
                if self.folders.root is None:
                    download(self.name, self.source, made)
                else:
                    packed = find_packed(self.name, self.source, self.folders.root)
                    unpack(self.source, packed, made)
                assert self._is_complete(made), "files of the right MD5 and the wrong size"
                folder.mkdir(exist_ok=True)
                for file in made.iterdir():
                    os.replace(file, folder / file.name)

    def load(self, split: str) -> SampleStore:
        """Return ``samples`` uint8 ``(N, 1, size, size)`` and ``labels`` int64 ``(N,)``."""
        check_split(self.name, split, self.counts)
        folder = self.folders.cache / self.name
        if not self._is_complete(folder):
            raise DataError(f"'{self.name}' is not in {folder}: call prepare() before load().")
        prefix = folder / _PREFIXES[split]
        images = _read(f"{prefix}-images-idx3-ubyte", _IMAGES_HEADER)
        samples = images.view(-1, 1, SIDE, SIDE)  # (N * 28 * 28,) -> (N, 1, 28, 28)
        labels = _read(f"{prefix}-labels-idx1-ubyte", _LABELS_HEADER).to(torch.int64)
        size = self.options.size
        if size != SIDE:
            samples = resized(samples, size, "bilinear")
        return SampleStore(
            arrays={"samples": samples, "labels": labels},
            spec=SampleSpec(shape=(1, size, size), dtype="uint8"),
            label_names=self.label_names,
        )

    def _is_complete(self, folder: Path) -> bool:
        """Whether all four unpacked files exist and have the right size."""
        sizes = {}
        for split, count in self.counts.items():
            sizes[f"{_PREFIXES[split]}-images-idx3-ubyte"] = _IMAGES_HEADER + count * SIDE * SIDE
            sizes[f"{_PREFIXES[split]}-labels-idx1-ubyte"] = _LABELS_HEADER + count
        try:
            return all((folder / file).stat().st_size == size for file, size in sizes.items())
        except OSError:
            return False


def _read(path: str, header: int) -> Tensor:
    return torch.from_numpy(np.fromfile(path, np.uint8, offset=header))


class Mnist(_IdxDataset):
    """Handwritten digits (LeCun, Cortes & Burges 1998)."""

    name = "mnist"
    source = datasets.MNIST
    label_names = DIGIT_NAMES


class FashionMnist(_IdxDataset):
    """Articles of clothing (Xiao, Rasul & Vollgraf 2017)."""

    name = "fashion-mnist"
    source = datasets.FashionMNIST
    label_names = tuple(datasets.FashionMNIST.classes)


class KMnist(_IdxDataset):
    """Cursive Japanese characters, labelled by their modern reading (Clanuwat et al. 2018)."""

    name = "kmnist"
    source = datasets.KMNIST
    label_names = tuple(datasets.KMNIST.classes)

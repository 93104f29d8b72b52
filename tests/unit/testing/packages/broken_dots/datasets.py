"""Datasets with one mistake each."""

import itertools
import time
from pathlib import Path

import torch
from dots.datasets import Ring, Stars

from aigc_core import DataError, Dataset, SampleSpec, SampleStore

_loads = itertools.count()


class LabelsTooHigh(Ring):
    def load(self, split: str) -> SampleStore:
        store = super().load(split)
        return SampleStore(store.arrays, store.spec, store.label_names[:3])


class SmallLabels(Ring):
    def load(self, split: str) -> SampleStore:
        store = super().load(split)
        arrays = {**store.arrays, "labels": store.arrays["labels"].int()}
        return SampleStore(arrays, store.spec, store.label_names)


class Moves(Ring):
    """Only a split that nothing is trained on."""

    def load(self, split: str) -> SampleStore:
        store = super().load(split)
        if split == "test":
            store.arrays["samples"].add_(next(_loads) % 2)
        return store


class OrderedByHash(Ring):
    """The same in every load of one process, and not in the next."""

    def load(self, split: str) -> SampleStore:
        store = super().load(split)
        names = tuple({*store.label_names, *(f"nowhere-{number}" for number in range(20))})
        return SampleStore(store.arrays, store.spec, names)


class Triplets(Ring):
    def load(self, split: str) -> SampleStore:
        spec = SampleSpec(shape=(3,), dtype="uint8")
        return SampleStore({"samples": torch.zeros((8, 3), dtype=torch.uint8)}, spec)


class Litters(Ring):
    def prepare(self) -> None:
        super().prepare()
        Path("ring.tmp").write_text("here", encoding="utf-8")


class LettersHome(Stars):
    def prepare(self) -> None:
        raise FileNotFoundError("stars.csv")


class Mumbles(Stars):
    def prepare(self) -> None:
        raise DataError("no stars")


class NeedsNothing(Stars):
    def prepare(self) -> None:
        pass


class Waits(Stars):
    def prepare(self) -> None:
        time.sleep(1.0)
        super().prepare()


class Calls(Stars):
    """Tries the network; what it says then is good only if that is not there."""

    def prepare(self) -> None:
        import urllib.request

        try:
            urllib.request.urlopen("http://127.0.0.1:9/stars", timeout=5)
        except OSError as error:
            raise DataError(f"The stars cannot be reached: {error}. Take ring.") from error


class IsNoDataset:
    def __init__(self, options: object, folders: object) -> None:
        pass

    def prepare(self) -> None:
        raise DataError("The stars are not in the data folder. Put them there, or take ring.")


class LacksLoad(Dataset):
    def prepare(self) -> None:
        raise DataError("The stars are not in the data folder. Put them there, or take ring.")

"""A ring that is computed, and stars that somebody would have to bring."""

import torch

from aigc_core import DataError, Dataset, SampleSpec, SampleStore

SPEC = SampleSpec(shape=(2,), dtype="uint8")
QUADRANTS = ("north-east", "north-west", "south-west", "south-east")


class Ring(Dataset):
    def prepare(self) -> None:
        folder = self.folders.make_cache() / "ring"
        folder.mkdir(exist_ok=True)
        (folder / "ready").touch()

    def load(self, split: str) -> SampleStore:
        count = self.options.count if self.options else 100
        angle = torch.arange(count) / count * 2 * torch.pi + (split == "test")
        ring = torch.stack([angle.cos(), angle.sin()], dim=1)  # (N,) -> (N, 2)
        return SampleStore(
            arrays={
                "samples": ring.mul(100).add(128).to(torch.uint8),
                "labels": (angle * 2 / torch.pi).long() % 4,
            },
            spec=SPEC,
            label_names=QUADRANTS,
        )


class Stars(Dataset):
    def prepare(self) -> None:
        raise DataError("The stars are not in the data folder. Put them there, or take ring.")

    def load(self, split: str) -> SampleStore:
        raise DataError("The stars are not prepared.")

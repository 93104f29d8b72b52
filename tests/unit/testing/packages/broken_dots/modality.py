"""Modalities with one mistake each."""

import os
from pathlib import Path

import torch
from dots.modality import Dots
from torch import Tensor


class ChangesItsArgument(Dots):
    def to_model(self, stored: Tensor) -> Tensor:
        stored.bitwise_or_(1)
        return super().to_model(stored)


class CutsInsteadOfRounding(Dots):
    def to_stored(self, samples: Tensor) -> Tensor:
        return samples.add(1).mul(127.5).clamp(0, 255).to(torch.uint8)


class WrapsRound(Dots):
    def to_stored(self, samples: Tensor) -> Tensor:
        return samples.add(1).mul(127.5).round().to(torch.int64).to(torch.uint8)


class LosesUnsaid(Dots):
    lossy_formats = ()


class NumbersFromZero(Dots):
    def save(self, stored: Tensor, folder: Path, *, format: str, start: int = 0) -> list[Path]:
        there = len(list(folder.iterdir()))
        return super().save(stored, folder, format=format, start=there)


class EncodesOtherwise(Dots):
    def encoded(self, stored: Tensor, format: str) -> bytes:
        return super().encoded(stored, format) + b"\n"


class MisnamesItsMedia(Dots):
    media_types = {"jpeg": "picture"}


class LeavesMore(Dots):
    def save(self, stored: Tensor, folder: Path, *, format: str, start: int = 0) -> list[Path]:
        (folder / "index").touch()
        return super().save(stored, folder, format=format, start=start)


class EatsDots(Dots):
    def preview(self, stored: Tensor, path: Path) -> Path:
        target = super().preview(stored, path)
        return Path(os.rename(target, path.with_suffix(".svg")) or path.with_suffix(".svg"))


class DrawsHalf(Dots):
    def preview(self, stored: Tensor, path: Path) -> Path:
        target = super().preview(stored, path)
        target.write_text(target.read_text(encoding="utf-8")[:-3], encoding="utf-8")
        return target


class CannotShowFour(Dots):
    """Four is how many a run's preview shows, and no other check."""

    def preview(self, stored: Tensor, path: Path) -> Path:
        if len(stored) == 4:
            raise IndexError("no fourth")
        return super().preview(stored, path)


class Explodes(Dots):
    def to_stored(self, samples: Tensor) -> Tensor:
        raise ZeroDivisionError("by no dots")


class CannotBeMade(Dots):
    def __init__(self, spec: object) -> None:
        raise RuntimeError("no paint")

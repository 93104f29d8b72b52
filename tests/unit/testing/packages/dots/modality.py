"""Dots: stored as two bytes, seen by networks in [-1, 1], saved as a line of text."""

import json
from pathlib import Path

import torch
from torch import Tensor

from aigc_core import DataError, Modality, SampleSpec


class Dots(Modality):
    formats = ("txt", "json")
    lossy_formats = ("json",)  # in tens, for brevity

    def __init__(self, spec: SampleSpec) -> None:
        super().__init__(spec)
        if spec.shape != (2,) or spec.dtype != "uint8":
            raise DataError(f"A dot is two bytes, not {spec.shape} of {spec.dtype}.")

    @property
    def sample_shape(self) -> tuple[int, ...]:
        return (2,)

    def to_model(self, stored: Tensor) -> Tensor:
        return stored.mul(2 / 255).sub_(1)

    def to_stored(self, samples: Tensor) -> Tensor:
        return samples.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)

    def save(self, stored: Tensor, folder: Path, *, format: str, start: int = 0) -> list[Path]:
        paths = []
        for number, dot in enumerate(stored.tolist(), start):
            path = folder / f"{number:06d}.{format}"
            tens = [value // 10 for value in dot]
            path.write_text(json.dumps(tens if format == "json" else dot), encoding="utf-8")
            paths.append(path)
        return paths

    def read(self, path: Path) -> Tensor:
        dot = torch.tensor(json.loads(path.read_text(encoding="utf-8")), dtype=torch.uint8)
        return dot * 10 if path.suffix == ".json" else dot

    def preview(self, stored: Tensor, path: Path) -> Path:
        dots = "".join(f'<circle cx="{x}" cy="{y}" r="2"/>' for x, y in stored.tolist())
        target = path.with_name(f"{path.name}.svg")
        target.write_text(f'<svg xmlns="http://www.w3.org/2000/svg">{dots}</svg>', encoding="utf-8")
        return target

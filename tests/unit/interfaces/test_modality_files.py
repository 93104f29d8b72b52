"""A modality says how one sample becomes bytes, or writes files: each follows from the other."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from aigc_core import ConfigError, Modality, SampleSpec


class Bare(Modality):
    formats = ("raw",)

    def to_model(self, stored: Tensor) -> Tensor:
        return stored

    def to_stored(self, samples: Tensor) -> Tensor:
        return samples

    def read(self, path: Path) -> Tensor:
        raise AssertionError("not read here")

    def preview(self, stored: Tensor, path: Path) -> Path:
        raise AssertionError("not shown here")


class Encodes(Bare):
    media_types = {"raw": "application/x-raw"}

    def encoded(self, stored: Tensor, format: str) -> bytes:
        self.check_format(format)
        return bytes(stored.tolist())


class Saves(Bare):
    def save(self, stored: Tensor, folder: Path, *, format: str, start: int = 0) -> list[Path]:
        paths = [folder / f"{start + number}.{format}" for number in range(len(stored))]
        for path, sample in zip(paths, stored, strict=True):
            path.write_bytes(bytes(sample.tolist()))
        return paths


SPEC = SampleSpec(shape=(2,), dtype="uint8")
STORED = torch.tensor([[1, 2], [3, 4]], dtype=torch.uint8)


def test_files_follow_from_bytes(tmp_path: Path) -> None:
    paths = Encodes(SPEC).save(STORED, tmp_path, format="raw", start=7)
    assert [path.name for path in paths] == ["000007.raw", "000008.raw"]
    assert [path.read_bytes() for path in paths] == [b"\1\2", b"\3\4"]
    with pytest.raises(ConfigError, match=r"cannot be saved as 'rew'\. Did you mean 'raw'\?"):
        Encodes(SPEC).save(STORED, tmp_path, format="rew")


def test_bytes_follow_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert Saves(SPEC).encoded(STORED[1], "raw") == b"\3\4"
    assert list(tmp_path.iterdir()) == []


def test_one_of_the_two_is_needed() -> None:
    with pytest.raises(NotImplementedError, match="Bare implements neither encoded nor save"):
        Bare(SPEC).encoded(STORED[0], "raw")


def test_a_media_type_that_is_not_declared_says_nothing() -> None:
    assert Encodes(SPEC).media_type("raw") == "application/x-raw"
    assert Saves(SPEC).media_type("raw") == "application/octet-stream"

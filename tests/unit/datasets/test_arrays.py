"""Arrays in the cache, with what is known of them."""

import os
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from aigc_core.datasets import read_arrays, write_arrays

ARRAYS = {"samples": torch.arange(12).reshape(3, 4), "labels": torch.tensor([2, 0, 1])}
FACTS = {"label_names": ["é", "b"], "notes": [], "rate": 8000}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.safetensors"
    write_arrays(path, ARRAYS, FACTS)
    found = read_arrays(path)
    assert found is not None
    arrays, facts = found
    assert {name: array.tolist() for name, array in arrays.items()} == {
        name: array.tolist() for name, array in ARRAYS.items()
    }
    assert arrays["samples"].dtype == torch.int64
    assert facts == FACTS
    assert list(path.parent.iterdir()) == [path]


def test_the_same_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        write_arrays(tmp_path / name, ARRAYS, FACTS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_is_missing_is_none(tmp_path: Path) -> None:
    assert read_arrays(tmp_path / "a") is None
    assert read_arrays(tmp_path) is None


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_what_is_cut_off_is_none(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a"
    write_arrays(path, ARRAYS, FACTS)
    path.write_bytes(path.read_bytes()[:length])
    assert read_arrays(path) is None


@pytest.mark.parametrize("facts", [None, {"other": "{}"}, {"aigc": "{"}, {"aigc": "[1]"}])
def test_a_file_of_somebody_elses_is_none(tmp_path: Path, facts) -> None:
    save_file(ARRAYS, tmp_path / "a", metadata=facts)
    assert read_arrays(tmp_path / "a") is None


@pytest.mark.parametrize("call", ["save_file", "fsync", "replace"])
def test_a_full_disk_is_an_oserror_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch, call: str
) -> None:
    path = tmp_path / "a"
    write_arrays(path, ARRAYS, FACTS)

    def full(*_: object, **__: object) -> None:
        if call == "save_file":
            raise SafetensorError("No space left on device")
        raise OSError(28, "No space left on device")

    where = "aigc_core.datasets.arrays" if call == "save_file" else "os"
    monkeypatch.setattr(f"{where}.{call}", full)
    with pytest.raises(OSError, match="No space left"):
        write_arrays(path, {"samples": torch.zeros(1)}, {})
    monkeypatch.undo()
    found = read_arrays(path)
    assert found is not None
    assert found[1] == FACTS
    assert os.listdir(tmp_path) == ["a"]

"""Folders larger than memory: packed in shards, resumed after a kill, and trained on from disk."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from aigc_core.datasets import folder_dataset
from aigc_core.storage import PackedArray

SIZE = ("--set", "dataset.options.size=16", "--set", "dataset.options.channels=1")
TRAINING = (
    *("train", "image/dcgan", "--dataset", "image-folder", "--data-root", "pics"),
    *("--set", "model.width=4", "--set", "engine.batch_size=4", "--steps", "6", "-q"),
    *("--set", "dataset.options.size=32", "--set", "dataset.options.channels=1"),
)
KILLED = """
import os, signal, sys
from aigc_core.datasets import folder_dataset
from aigc_image.datasets.folder import ImageFolder
folder_dataset._SHARD_FILES, calls, decode = 4, [], ImageFolder.decode

def decode_some(self, path):
    calls.append(path)
    if len(calls) == 11:
        os.kill(os.getpid(), signal.SIGKILL)
    return decode(self, path)

ImageFolder.decode = decode_some
folder_dataset._cores = lambda: 1
folder_dataset._AHEAD = 1
from aigc_core.cli import main
sys.argv = ["aigc", *sys.argv[1:]]
main()
"""


@pytest.fixture
def pics(tmp_path: Path) -> Path:
    for n in range(20):
        folder = tmp_path / "pics" / ("ab"[n % 2])
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (20, 20), 12 * n).save(folder / f"{n:02}.png")
    (tmp_path / "pics" / "a" / "bad.png").write_text("no picture")
    return tmp_path / "pics"


def rows(folder: Path) -> torch.Tensor:
    from aigc_core.storage import open_pack

    return open_pack(folder).columns["samples"][:]


def test_a_folder_is_packed_and_what_is_in_it_said(aigc, pics) -> None:
    done = aigc("datasets", "pack", pics, *SIZE, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert (found["dataset"], found["count"]) == ("image-folder", 20)
    assert found["columns"] == {"samples": [20, 1, 16, 16], "labels": [20]}
    assert "bad.png" in found["notes"][0]
    assert found["path"].startswith(str(pics.parent / "cache" / "image-folder"))
    plain = aigc("datasets", "pack", "image-folder", "--data-root", pics, *SIZE)
    assert "Note: Skipped files" in plain.err
    assert "image-folder: 20 samples, 0.0 MB, packed in" in plain.err
    assert json.loads(aigc("cache", "list", "--json").out)[0]["from"] == str(pics)


def test_a_dataset_of_another_kind_is_prepared(aigc) -> None:
    done = aigc("datasets", "pack", "digits")
    assert done.code == 0, done.err
    assert "digits: 1,797 samples, 1.9 MB, prepared" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("empty",), "No dataset reads the files in empty."),
        (("./nowhere",), "There is no folder ./nowhere."),
        (("image-foldr",), "There is no dataset 'image-foldr'. Did you mean 'image-folder'?"),
        (("pics", "--data-root", "pics"), "pics is a folder already"),
    ],
)
def test_what_cannot_be_packed_is_a_sentence(aigc, pics, arguments, message) -> None:
    (pics.parent / "empty").mkdir()
    done = aigc("datasets", "pack", *arguments)
    assert done.code == 2
    assert message in done.err


def test_a_killed_pack_continues_after_its_last_shard(aigc, pics, monkeypatch) -> None:
    """SIGKILL comes at the eleventh of 21 files, so two shards of four are finished."""
    command = [sys.executable, "-c", KILLED, "datasets", "pack", str(pics), *SIZE]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    (folder,) = (pics.parent / "cache" / "image-folder").iterdir()
    kept = {path.name: path.stat().st_ino for path in folder.glob("samples-*")}
    assert sorted(kept) == ["samples-00000.safetensors", "samples-00001.safetensors"]

    monkeypatch.setattr(folder_dataset, "_SHARD_FILES", 4)
    decoded = []
    real = folder_dataset.FolderDataset._decode_one
    monkeypatch.setattr(
        folder_dataset.FolderDataset,
        "_decode_one",
        lambda self, path: decoded.append(path) or real(self, path),
    )
    done = aigc("datasets", "pack", pics, *SIZE)
    assert done.code == 0, done.err
    assert len(decoded) == 21 - 8
    assert {name: (folder / name).stat().st_ino for name in kept} == kept
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    expected = [12 * n for n in (*range(0, 20, 2), *range(1, 20, 2))]
    assert rows(folder)[:, 0, 0, 0].tolist() == expected
    assert "bad.png" in done.err


def test_a_training_from_disk_writes_the_bytes_of_one_from_memory(
    aigc, pics, monkeypatch, tmp_path
) -> None:
    monkeypatch.setattr(folder_dataset, "_SHARD_FILES", 4)
    assert aigc(*TRAINING, "--out", "memory").code == 0
    monkeypatch.setenv("AIGC_DATA_MEMORY", "1kB")
    done = aigc(*TRAINING, "--out", "disk")
    assert done.code == 0, done.err
    names = ["checkpoints/step-000006/weights.safetensors", "dataset.json"]
    for name in names:
        assert (tmp_path / "disk" / name).read_bytes() == (tmp_path / "memory" / name).read_bytes()
    assert aigc("resume", "disk", "--steps", "8").code == 0
    monkeypatch.delenv("AIGC_DATA_MEMORY")
    assert aigc("resume", "memory", "--steps", "8").code == 0
    name = "checkpoints/step-000008/weights.safetensors"
    assert (tmp_path / "disk" / name).read_bytes() == (tmp_path / "memory" / name).read_bytes()


def test_one_line_says_that_data_stay_on_disk(aigc, pics, monkeypatch) -> None:
    monkeypatch.setenv("AIGC_DATA_MEMORY", "1kB")
    done = aigc("datasets", "preview", "image-folder", "--data-root", pics, *SIZE)
    assert done.code == 0, done.err
    assert "image-folder: 5.3 kB of data; samples stay on disk" in done.err


def test_a_size_that_is_none_is_a_sentence(aigc, pics, monkeypatch) -> None:
    monkeypatch.setenv("AIGC_DATA_MEMORY", "plenty")
    done = aigc("datasets", "preview", "image-folder", "--data-root", pics, *SIZE)
    assert done.code == 2
    assert "AIGC_DATA_MEMORY is plenty, which is no size" in done.err


def test_a_damaged_shard_is_said_and_made_again(aigc, pics, monkeypatch) -> None:
    monkeypatch.setattr(folder_dataset, "_SHARD_FILES", 4)
    found = json.loads(aigc("datasets", "pack", pics, *SIZE, "--json").out)
    before = rows(Path(found["path"]))
    shard = Path(found["path"]) / "samples-00003.safetensors"
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    done = aigc("datasets", "pack", pics, *SIZE)
    assert done.code == 0, done.err
    assert f"{shard} is damaged: its SHA-256 is not the one in index.json" in done.err
    assert torch.equal(rows(Path(found["path"])), before)


def test_columns_made_from_samples_are_not_written_twice(aigc, pics, monkeypatch, tmp_path) -> None:
    """``paired-folder`` gives rows of the decoded images as two columns."""
    (pics / "a" / "bad.png").unlink()
    for path in (pics / "b").iterdir():
        path.rename(path.with_name(f"{int(path.stem) - 1:02}.png"))
    (pics / "a").rename(pics / "input")
    (pics / "b").rename(pics / "target")
    options = ("paired-folder", "--data-root", "pics", *SIZE)
    done = aigc("datasets", "pack", *options, "--json")
    assert done.code == 0, done.err
    from aigc_core.storage import open_pack

    pack = open_pack(Path(json.loads(done.out)["path"]))
    assert len(list(pack.folder.glob("samples-*"))) == 1
    assert not list(pack.folder.glob("input-*"))
    monkeypatch.setenv("AIGC_DATA_MEMORY", "1kB")
    arrays = pack.load("pairs")
    assert isinstance(arrays["input"], PackedArray)
    assert arrays["input"][:, 0][:, 0][:, 0].tolist() == list(range(0, 240, 24))
    assert arrays["samples"][:, 0][:, 0][:, 0].tolist() == list(range(12, 240, 24))

"""Packs: what is written can be read, damage is found, and finished shards are kept."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from aigc_core.errors import DataError
from aigc_core.storage import PackedArray, PackWriter, array_digest, open_pack, packs, rows

SAMPLES = torch.arange(100 * 12, dtype=torch.int32).view(100, 3, 4)
DTYPES = [
    torch.uint8,
    torch.uint16,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.float32,
    torch.bfloat16,
    torch.bool,
]


def write(folder: Path, samples: Tensor = SAMPLES, shard: int = 30) -> None:
    with PackWriter(folder) as writer:
        for start in range(sum(writer.facts), len(samples), shard):
            part = samples[start : start + shard]
            writer.append({"samples": part})
            writer.end_shard(len(part))
        packed = writer.array("samples")
        columns = {
            "samples": packed,
            "labels": torch.arange(len(samples)) % 7,
            "first": packed[:, 0],
            "odd": packed.rows(torch.arange(len(samples) - 1, 0, -2)),
        }
        writer.finish(columns, {"source": "here"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "a.pack")
    return tmp_path / "a.pack"


def test_columns_come_back_whole_in_parts_and_in_another_order(folder) -> None:
    pack = open_pack(folder)
    expected = {
        "samples": SAMPLES,
        "labels": torch.arange(100) % 7,
        "first": SAMPLES[:, 0],
        "odd": SAMPLES[torch.arange(99, 0, -2)],
    }
    assert pack.facts == {"source": "here"}
    assert set(pack.columns) == set(expected)
    for name, array in expected.items():
        packed = pack.columns[name]
        chosen = torch.tensor([3, 47, 0, -1, 3])
        assert torch.equal(packed[:], array), name
        assert torch.equal(packed[chosen], array[chosen]), name
        assert packed.digest == array_digest(array), name


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_type_comes_back(tmp_path, dtype) -> None:
    samples = torch.arange(40).view(10, 4).to(dtype)
    write(tmp_path / "a", samples, shard=3)
    found = open_pack(tmp_path / "a").columns["samples"]
    assert found.dtype == dtype
    assert torch.equal(found[:], samples)


def test_shards_are_safetensors_files_that_others_can_read(folder) -> None:
    parts = [load_file(folder / f"samples-{n:05}.safetensors")["samples"] for n in range(4)]
    assert torch.equal(torch.cat(parts), SAMPLES)


def test_what_fits_is_in_memory_and_what_does_not_stays_on_disk(folder, monkeypatch) -> None:
    monkeypatch.setenv("AIGC_DATA_MEMORY", "1GB")
    assert not any(isinstance(a, PackedArray) for a in open_pack(folder).load("x").values())
    monkeypatch.setenv("AIGC_DATA_MEMORY", "2kB")
    arrays = open_pack(folder).load("x")
    kept = {name for name, array in arrays.items() if not isinstance(array, PackedArray)}
    assert kept == {"labels"}  # the smallest first
    assert list(arrays) == list(open_pack(folder).columns)


def test_one_line_says_what_was_chosen(folder, monkeypatch) -> None:
    lines = []
    monkeypatch.setattr(packs.logger, "info", lambda text, *values: lines.append(text % values))
    monkeypatch.setenv("AIGC_DATA_MEMORY", "2kB")
    open_pack(folder).load("my data")
    assert len(lines) == 1
    assert lines[0].startswith("my data: 9.6 kB of data; first and odd and samples stay on disk")
    assert "2.0 kB" in lines[0]


@pytest.mark.parametrize("shard", [0, 1, 3])
def test_a_flipped_byte_is_found_when_the_pack_is_opened(folder, shard) -> None:
    path = folder / f"samples-{shard:05}.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=rf"{path} is damaged: its SHA-256 .* Do this\."):
        open_pack(folder, "Do this.")


def test_times_that_were_put_back_hide_no_damage(folder) -> None:
    path = folder / "labels-00004.safetensors"
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(DataError, match="damaged"):
        open_pack(folder)


@pytest.mark.parametrize("name", ["samples-00002.safetensors", "labels-00004.safetensors"])
def test_a_missing_shard_is_a_sentence_that_names_it(folder, name) -> None:
    (folder / name).unlink()
    with pytest.raises(DataError, match=rf"{name} cannot be read: No such file.*\. Do this\."):
        open_pack(folder, "Do this.")


def test_a_shortened_shard_is_a_sentence(folder) -> None:
    os.truncate(folder / "samples-00001.safetensors", 5000)
    with pytest.raises(DataError, match="has 5,000 of 5,536 bytes"):
        open_pack(folder)


def test_a_shard_that_is_shortened_later_is_a_sentence_too(folder) -> None:
    samples = open_pack(folder).columns["samples"]
    os.truncate(folder / "samples-00001.safetensors", 5000)
    with pytest.raises(DataError, match=r"samples-00001.safetensors ends too early"):
        _ = samples[torch.arange(100)]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-5],
        lambda text: text.replace('"rows": 30', '"rows": 31', 1),
        lambda text: "[]",
        lambda text: "{}",
        lambda text: "[" * 100_000,
    ],
)
def test_a_damaged_index_is_a_sentence(folder, spoil) -> None:
    index = folder / "index.json"
    index.write_text(spoil(index.read_text()))
    with pytest.raises(DataError, match=r"index\.json is damaged\. Do this\."):
        open_pack(folder, "Do this.")


def test_an_index_that_points_out_of_its_folder_is_refused(folder) -> None:
    index = json.loads((folder / "index.json").read_text())["index"]
    index["arrays"]["labels"]["files"][0]["file"] = "../labels.safetensors"
    document = {"sha256": packs._index_digest(index), "index": index}
    (folder / "index.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match="damaged"):
        open_pack(folder)


def test_an_unfinished_pack_is_a_sentence(folder) -> None:
    (folder / "index.json").unlink()
    with pytest.raises(DataError, match=r"holds no finished pack: there is no index\.json"):
        open_pack(folder)


def test_what_was_verified_is_not_read_again_and_a_copy_is(folder, tmp_path, monkeypatch) -> None:
    calls = []
    real = packs.file_digest
    monkeypatch.setattr(packs, "file_digest", lambda path: calls.append(path.name) or real(path))
    open_pack(folder)
    assert not calls  # written by this machine, and not touched since
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    open_pack(copy)
    assert len(calls) == 6
    open_pack(copy)
    assert len(calls) == 6


class Killed(BaseException):
    """Stands for the end of the process."""


def test_finished_shards_are_not_made_again(tmp_path, monkeypatch) -> None:
    folder = tmp_path / "a"
    whole = tmp_path / "whole"
    write(whole)

    def write_two() -> None:
        with PackWriter(folder) as writer:
            for start in (0, 30, 60):
                writer.append({"samples": SAMPLES[start : start + 30]})
                if start == 60:
                    raise Killed
                writer.end_shard(30)

    with pytest.raises(Killed):
        write_two()
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    kept = {p.name: p.stat().st_ino for p in folder.glob("samples-*")}
    assert len(kept) == 2
    (folder / ".samples-00002.safetensors.0123abcd").write_bytes(b"left by kill -9")
    write(folder)
    assert {n: (folder / n).stat().st_ino for n in kept} == kept
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    for path in whole.iterdir():
        if path.name != "seen.json":
            assert (folder / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_finished_shard_that_was_damaged_is_made_again(tmp_path) -> None:
    folder = tmp_path / "a"
    write(folder)
    path = folder / "samples-00001.safetensors"
    path.write_bytes(bytes(len(path.read_bytes())))
    with pytest.raises(DataError):
        open_pack(folder)
    write(folder)
    assert torch.equal(open_pack(folder).columns["samples"][:], SAMPLES)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"samples": SAMPLES[:1].float()}, "F32 of the shape .* and I32"),
        ({"samples": SAMPLES[:1, :2]}, r"\(2, 4\) here, and I32 of \(3, 4\) before"),
        ({"../samples": SAMPLES[:1]}, "names consist of letters"),
        ({"complex": torch.zeros(1, dtype=torch.complex64)}, "packs do not know"),
    ],
)
def test_rows_that_do_not_go_together_are_a_sentence(tmp_path, arrays, message) -> None:
    with PackWriter(tmp_path / "a") as writer:
        writer.append({"samples": SAMPLES[:2]})
        with pytest.raises(DataError, match=message):
            writer.append(arrays)


def test_more_files_than_may_be_open(folder, monkeypatch) -> None:
    monkeypatch.setattr(rows, "MAX_OPEN", 1)
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    samples = open_pack(folder).columns["samples"]
    assert torch.equal(samples[torch.arange(100)], SAMPLES)
    if before:
        assert len(os.listdir("/proc/self/fd")) <= before + 1
    del samples


def test_opening_forty_gigabytes_reads_none_of_them(tmp_path) -> None:
    """Sparse files stand for shards of an earlier packing."""
    shape, count = (3, 256, 256), 1300
    files, seen = [], packs.Seen(tmp_path)
    for number in range(157):
        path = tmp_path / f"samples-{number:05}.safetensors"
        path.write_bytes(packs.encoded_header("samples", torch.uint8, shape, count))
        size = packs.HEADER_BYTES + count * 3 * 256 * 256
        os.truncate(path, size)
        seen.add(path.name)
        files.append({"file": path.name, "rows": count, "bytes": size, "sha256": "0" * 64})
    seen.save()
    arrays = {"samples": {"dtype": "U8", "shape": shape, "files": files}}
    packs.write_index(
        tmp_path,
        {
            "format": 1,
            "arrays": arrays,
            "columns": {"samples": {"array": "samples", "digest": "0" * 32}},
            "facts": {},
        },
    )
    pack = open_pack(tmp_path)
    samples = pack.load("forty")["samples"]
    assert isinstance(samples, PackedArray)
    assert samples.nbytes > 40e9
    assert array_digest(samples) == "0" * 32
    few = samples[torch.tensor([0, 100_000, len(samples) - 1])]
    assert samples.reader.bytes_read == few.nbytes == 3 * 3 * 256 * 256
    with pytest.raises(DataError, match=r"40\.1 GB of an array on disk .* more than the memory"):
        samples.float()


def test_a_file_of_another_kind_in_the_folder_does_no_harm(folder) -> None:
    save_file({"x": torch.zeros(2)}, folder / "mine.safetensors")
    assert len(open_pack(folder).columns) == 4

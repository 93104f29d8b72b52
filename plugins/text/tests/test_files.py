import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from aigc_core import DataError, DataFolders
from aigc_core.datasets import PackedArray
from aigc_core.storage import array_digest
from aigc_text.datasets import _source
from aigc_text.datasets._tokens import TextPart, read_tokens, write_tokens
from aigc_text.datasets.files import TextFiles
from aigc_text.options import TextFilesOptions
from aigc_text.tokenizers import Characters, tokenizer_from_json

TEXT = "The quick brown fox jumps over the lazy dog.\n" * 10


def dataset(root: Path | None, cache: Path, **options) -> TextFiles:
    return TextFiles(TextFilesOptions(**{"context": 8} | options), DataFolders(root, cache))


def loaded(root: Path, cache: Path, split: str = "train", **options):
    made = dataset(root, cache, **options)
    made.prepare()
    return made.load(split)


def text_of(store) -> str:
    """The text that a store's windows were cut from."""
    windows = store.arrays["samples"]
    tokens = torch.cat([windows[:, 0], windows[-1, 1:]])
    return tokenizer_from_json(store.spec.assets["tokenizer"]).decode(tokens.numpy())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "book.of"
    path.write_bytes(TEXT.encode())
    return path


@pytest.mark.parametrize("tokenizer", ["characters", "bytes", "bpe"])
def test_samples_are_all_windows_of_the_text(file, cache, tokenizer) -> None:
    options = {"tokenizer": tokenizer, "vocabulary_size": 300, "validation": 0.0}
    store = loaded(file, cache, **options)
    samples = store.arrays["samples"]
    assert text_of(store) == TEXT
    assert samples.dtype == torch.int16
    assert samples.shape[1:] == store.spec.shape == (9,)
    assert samples.stride() == (1, 1)  # windows overlap in memory
    assert samples.max() < store.spec.units["vocabulary_size"]
    if tokenizer != "bpe":
        assert len(samples) == len(TEXT) - 8


def test_a_large_vocabulary_is_stored_as_int32(tmp_path, cache) -> None:
    codes = [c for c in range(33, 0xD7FF) if chr(c).isprintable()][:40_000]
    (tmp_path / "all.txt").write_text("".join(map(chr, codes)), encoding="utf-8")
    store = loaded(tmp_path / "all.txt", cache)
    assert store.spec.units["vocabulary_size"] == 40_000
    assert store.arrays["samples"].dtype == torch.int32
    assert store.spec.dtype == "int32"


def test_the_last_part_is_held_out_and_shares_nothing_with_the_rest(file, cache) -> None:
    train, held_out = (
        text_of(loaded(file, cache, s, validation=0.2)) for s in ("train", "validation")
    )
    assert train + held_out == TEXT
    assert len(train) == int(len(TEXT) * 0.8)


def test_without_validation_that_split_is_empty(file, cache) -> None:
    store = loaded(file, cache, "validation", validation=0.0)
    assert store.arrays["samples"].shape == (0, 9)


def test_a_folder_s_texts_follow_each_other_sorted_by_path(tmp_path, cache) -> None:
    root = tmp_path / "texts"
    (root / "b").mkdir(parents=True)
    (root / ".git").mkdir()
    contents = {
        "b/one.md": "first, ",
        "c.TXT": "second\n",
        "d.txt": "third",
        "e.txt": "",
        "f.txt": "\ufefflast of all",
        "notes.pdf": "not this",
        ".hidden.txt": "nor this",
        ".git/x.txt": "nor that",
    }
    for name, content in contents.items():
        (root / name).write_bytes(content.encode())
    store = loaded(root, cache, validation=0.0)
    assert text_of(store) == "first, \nsecond\nthird\nlast of all"


def test_options_that_change_no_token_share_the_cache(file, cache) -> None:
    loaded(file, cache)
    before = sorted(cache.rglob("*.tokens"))
    loaded(file, cache, context=5, validation=0.3, vocabulary_size=999)
    assert sorted(cache.rglob("*.tokens")) == before
    loaded(file, cache, tokenizer="bytes")
    loaded(file, cache, tokenizer="bpe", vocabulary_size=300)
    loaded(file, cache, tokenizer="bpe", vocabulary_size=301)
    assert len(list(cache.rglob("*.tokens"))) == 4


def test_the_second_time_the_text_is_not_read(file, cache, monkeypatch) -> None:
    loaded(file, cache)
    monkeypatch.setattr(TextFiles, "pieces", lambda self: pytest.fail("read again"))
    loaded(file, cache)


def test_a_file_that_changed_is_encoded_anew(file, cache) -> None:
    loaded(file, cache)
    file.write_bytes(TEXT.upper().encode())
    os.utime(file, ns=(1, 1))
    assert text_of(loaded(file, cache, validation=0.0)) == TEXT.upper()


@pytest.mark.parametrize("damage", ["tokens", "facts", "neither is there"])
def test_a_damaged_cache_is_made_anew(file, cache, damage) -> None:
    loaded(file, cache)
    (tokens,) = cache.rglob("*.tokens")
    facts = tokens.with_name(tokens.name + ".json")
    if damage == "tokens":
        tokens.write_bytes(tokens.read_bytes()[:-1])
    elif damage == "facts":
        facts.write_text('{"count": 3')
    else:
        tokens.unlink()
        facts.unlink()
    assert text_of(loaded(file, cache, validation=0.0)) == TEXT


def test_a_writing_that_fails_leaves_nothing(file, cache, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"No space left on device.*AIGC_CACHE_DIR"):
        dataset(file, cache).prepare()
    assert [p for p in cache.rglob("*") if p.is_file() and p.suffix != ".lock"] == []


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_a_wrong_byte_is_reported_with_its_file_and_place(tmp_path, monkeypatch, size) -> None:
    monkeypatch.setattr(_source, "_PIECE_BYTES", size)  # wherever the blocks end
    path = tmp_path / "bad.txt"
    good = "aé€😀".encode()
    for bad, place in ((b"\xff", 10), (b"\xe2\x82x", 10), (b"\xe2\x82", 10)):
        path.write_bytes(good + bad)
        with pytest.raises(DataError, match=rf"bad\.txt is not UTF-8: byte {place} is 0x"):
            list(_source.read_pieces([path]))
    path.write_bytes(good + b"a\0")
    with pytest.raises(DataError, match=r"bad\.txt is not text: byte 11 is 0"):
        list(_source.read_pieces([path]))


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_wherever_blocks_end_the_text_is_the_same(file, monkeypatch, size) -> None:
    file.write_bytes("\ufeffaé€😀\r\nb".encode())
    monkeypatch.setattr(_source, "_PIECE_BYTES", size)
    found = "".join(_source.read_pieces([file]))
    assert found == "aé€😀\r\nb"


@pytest.mark.parametrize(
    ("content", "reported"),
    [(b"", "is empty"), (b"\x89PNG\r\n", "is not UTF-8"), (b"a\0b", "is not text")],
)
def test_an_empty_or_binary_file_is_an_error(file, cache, content, reported) -> None:
    file.write_bytes(content)
    with pytest.raises(DataError, match=reported):
        dataset(file, cache).prepare()
    assert not list(cache.rglob("*.tokens*"))


def test_a_folder_without_text_is_an_error(tmp_path, cache) -> None:
    root = tmp_path / "texts"
    root.mkdir()
    (root / "a.pdf").touch()
    with pytest.raises(DataError, match=r"There is no text in .*1 \.pdf \(convert.*\.txt \.text"):
        dataset(root, cache).prepare()
    (root / "a.txt").touch()
    with pytest.raises(DataError, match=r"All text files in .* are empty"):
        dataset(root, cache).prepare()


def test_no_folder_at_all_is_an_error(cache) -> None:
    with pytest.raises(DataError, match=r"needs your text.*--data-root"):
        dataset(None, cache).prepare()


@pytest.mark.parametrize(
    ("split", "options", "reported"),
    [
        ("train", {"context": 450}, r"train part of 'text-files' has 405"),
        ("validation", {"context": 45}, r"has 45.*validation=0"),
        ("test", {}, r"no split 'test'"),
    ],
)
def test_what_cannot_be_cut_is_reported(file, cache, split, options, reported) -> None:
    with pytest.raises(DataError, match=reported):
        loaded(file, cache, split, **options)


def prepare(root: Path, cache: Path) -> None:
    dataset(root, cache, tokenizer="bpe", vocabulary_size=300).prepare()


def test_two_processes_make_one_cache(file, cache) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=prepare, args=(file, cache)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert len(list(cache.rglob("*.tokens"))) == 1
    assert text_of(loaded(file, cache, tokenizer="bpe", vocabulary_size=300, validation=0.0))


MEASURE = """
import resource, sys
from pathlib import Path
from aigc_core import DataFolders
from aigc_text.datasets.files import TextFiles
from aigc_text.options import TextFilesOptions
import aigc_text.bpe, torch
folders = DataFolders(Path(sys.argv[1]), Path(sys.argv[2]))
def grown(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = grown()
made = TextFiles(TextFilesOptions(tokenizer=sys.argv[3], context=64, vocabulary_size=300), folders)
made.prepare()
samples = made.load("train").arrays["samples"]
for start in range(0, len(samples) - 100, len(samples) // 50):
    samples.index_select(0, torch.arange(start, start + 12))
print(grown() - before, len(samples))
"""


def peak_kib(tmp_path: Path, cache: Path, tokenizer: str, mebibytes: int) -> int:
    root = tmp_path / f"{mebibytes}.txt"
    rng = np.random.default_rng(0)
    with root.open("wb") as out:
        for _ in range(mebibytes):
            out.write(rng.choice(np.frombuffer(b"abcdefgh .\n", np.uint8), 1 << 20).tobytes())
    command = [sys.executable, "-c", MEASURE, str(root), str(cache), tokenizer]
    environment = {**os.environ, "AIGC_DATA_MEMORY": "10M"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    grown, count = map(int, done.stdout.split())
    if tokenizer == "characters":
        assert count == int((mebibytes << 20) * 0.9) - 64
    return grown


def test_memory_does_not_grow_with_the_text(tmp_path, cache) -> None:
    assert peak_kib(tmp_path, cache, "characters", 24) < 60_000  # of 72 MiB, text and tokens


@pytest.mark.slow
@pytest.mark.parametrize("tokenizer", ["characters", "bytes"])
def test_memory_does_not_grow_with_a_long_text(tmp_path, cache, tokenizer) -> None:
    assert peak_kib(tmp_path, cache, tokenizer, 300) < 60_000  # of 600 MiB, text and tokens


def test_windows_on_disk_are_those_in_memory(file, cache, monkeypatch) -> None:
    """Tokens are stored in the smallest type that holds the vocabulary."""
    in_memory = loaded(file, cache, context=3).arrays["samples"]
    (tokens,) = cache.rglob("*.tokens")
    assert tokens.stat().st_size == len(TEXT)
    monkeypatch.setenv("AIGC_DATA_MEMORY", "4")
    on_disk = loaded(file, cache, context=3).arrays["samples"]
    assert isinstance(on_disk, PackedArray)
    assert (on_disk.shape, on_disk.dtype) == (in_memory.shape, in_memory.dtype)
    assert on_disk.dtype == torch.int16
    rows = torch.tensor([0, 5, len(in_memory) - 1])
    assert torch.equal(on_disk[rows], in_memory[rows])
    assert array_digest(on_disk) == array_digest(in_memory)


@pytest.mark.parametrize(
    ("size", "stored", "wanted"),
    [(256, "uint8", torch.int16), (257, "uint16", torch.int16), (40_000, "uint16", torch.int32)],
)
def test_tokens_take_no_more_room_than_they_need(tmp_path, size, stored, wanted) -> None:
    tokenizer = Characters("".join(chr(0x4E00 + n) for n in range(size)))
    text = chr(0x4E00 + size - 1) + chr(0x4E00)
    part = TextPart("", lambda: [text], 6)
    write_tokens(tokenizer, [part], tmp_path / "a.tokens")
    found = read_tokens(tmp_path / "a.tokens")
    assert found.stored.name == stored
    assert found.part(0, 2).dtype == wanted
    assert found.part(0, 2).tolist() == [size - 1, 0]

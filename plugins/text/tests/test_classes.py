"""Text in sub-folders: classes, from the files to what is drawn for a label."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from aigc_core import DataError, DataFolders
from aigc_core.api import stream_text, train
from aigc_core.datasets import PackedArray
from aigc_text.datasets import _classes
from aigc_text.datasets.files import TextFiles
from aigc_text.options import TextFilesOptions
from aigc_text.tokenizers import tokenizer_from_json

NUMBERS = "0123456789 987 654 321.\n" * 40
LETTERS = "the quick brown fox, a lazy dog.\n" * 90


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "texts"
    for name, content in {
        "letters/a.txt": LETTERS[:700],
        "letters/more/b.md": LETTERS[700:],
        "numbers/a.txt": NUMBERS,
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def loaded(root: Path, cache: Path, split: str = "train", **options):
    made = TextFiles(TextFilesOptions(**{"context": 8} | options), DataFolders(root, cache))
    made.prepare()
    return made.load(split)


def texts_by_label(store) -> list[str]:
    """Each class's samples, one after another."""
    decode = tokenizer_from_json(store.spec.assets["tokenizer"]).decode
    samples, labels = store.arrays["samples"], store.arrays["labels"]
    return [
        decode(samples[labels == label].flatten().numpy())
        for label in range(len(store.label_names))
    ]


@pytest.mark.parametrize("tokenizer", ["characters", "bytes", "bpe"])
def test_samples_lie_within_one_class_and_are_all_of_its_text(root, cache, tokenizer) -> None:
    options = {"tokenizer": tokenizer, "vocabulary_size": 300}
    train_part, held_out = (loaded(root, cache, s, **options) for s in ("train", "validation"))
    assert train_part.label_names == ("letters", "numbers")
    assert train_part.arrays["labels"].dtype == torch.int64
    letters = LETTERS[:700] + "\n" + LETTERS[700:]  # files are kept apart
    for whole, first, rest in zip(
        (letters, NUMBERS), texts_by_label(train_part), texts_by_label(held_out), strict=True
    ):
        assert whole.startswith(first + rest)
        assert len(whole) - len(first + rest) < 9 * 10  # what fills no sample
        assert len(rest) / len(first + rest) == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize("size", [1, 5, 9, 1000])
def test_wherever_blocks_end_samples_are_the_same(root, cache, monkeypatch, size) -> None:
    monkeypatch.setattr(_classes, "_BLOCK", size)
    store = loaded(root, cache, validation=0.0)
    assert texts_by_label(store)[1] == NUMBERS[: len(NUMBERS) // 9 * 9]
    assert len(loaded(root, cache, "validation", validation=0.0)) == 0


def test_samples_that_are_larger_than_memory_stay_on_disk(root, cache, monkeypatch) -> None:
    in_memory = loaded(root, cache, context=8).arrays
    monkeypatch.setenv("AIGC_DATA_MEMORY", "10")
    on_disk = loaded(root, cache, context=8).arrays
    for name, array in in_memory.items():
        assert isinstance(on_disk[name], PackedArray)
        assert on_disk[name].dtype == array.dtype
        assert torch.equal(on_disk[name][torch.arange(len(array))], array)


def test_pairs_are_learned_from_every_class(root, cache) -> None:
    (root / "letters" / "a.txt").write_text(LETTERS * 3)
    store = loaded(root, cache, tokenizer="bpe", vocabulary_size=300)
    tokens = tokenizer_from_json(store.spec.assets["tokenizer"]).encode("987 654")
    assert len(tokens) < 7


def test_files_beside_the_folders_or_a_single_folder_make_no_classes(root, cache) -> None:
    assert loaded(root / "letters", cache).label_names == ()  # a file beside a folder
    (root / "numbers" / "a.txt").unlink()
    store = loaded(root, cache)
    assert set(store.arrays) == {"samples"}
    assert store.arrays["samples"].stride() == (1, 1)


def test_classes_are_part_of_what_the_cache_is_made_from(root, cache) -> None:
    together, apart = root / "x", root.parent
    together.mkdir()
    for name in ("letters", "numbers"):
        os.rename(root / name, together / name)
    assert loaded(apart, cache).label_names == ()
    assert loaded(together, cache).label_names == ("letters", "numbers")


def test_damaged_samples_are_made_anew(root, cache) -> None:
    before = loaded(root, cache).arrays["samples"].clone()
    (path,) = cache.rglob("*train.samples")
    path.write_bytes(b"")
    assert torch.equal(loaded(root, cache).arrays["samples"], before)


def test_a_class_shorter_than_a_sample_is_reported_by_name(root, cache) -> None:
    (root / "numbers" / "a.txt").write_text("12")
    with pytest.raises(DataError, match=r"class 'numbers' of 'text-files' has 2\b.*context"):
        loaded(root, cache)


def test_nothing_long_enough_to_hold_out_is_reported(root, cache) -> None:
    with pytest.raises(DataError, match=r"long enough to hold out 0\.001 .*validation=0"):
        loaded(root, cache, "validation", validation=0.001)


def test_what_is_drawn_for_a_label_is_reported_apart_by_its_characters(
    root, cache, tmp_path, monkeypatch
) -> None:
    """The measure knows the texts alone: which characters each has, and how often."""
    monkeypatch.setenv("AIGC_CACHE_DIR", str(cache))
    run = train(
        "text/gpt",
        dataset="text-files",
        out=tmp_path / "run",
        preset="tiny",
        overrides={
            "dataset.root": str(root),
            "model.conditional": True,
            "engine.steps": 200,
            "dataset.options.context": 16,
            "trainer.optimizer.lr": 1e-2,
        },
    )
    characters = sorted(set(NUMBERS + LETTERS))

    def log_share(text: str) -> np.ndarray:
        return np.log([(text.count(c) + 1) / (len(text) + len(characters)) for c in characters])

    ratio = dict(zip(characters, log_share(NUMBERS) - log_share(LETTERS), strict=True))
    for label, sign in (("letters", -1), ("numbers", 1)):
        texts = (
            stream_text(run, label=label, controls={"tokens": 60}, seed=seed) for seed in range(4)
        )
        assert sign * sum(ratio[c] for text in texts for c in "".join(text)) > 50


def test_sub_folders_can_be_one_text(root, cache) -> None:
    store = loaded(root, cache, classes=False)
    assert "labels" not in store.arrays
    assert store.label_names == ()
    first, second = store.arrays["samples"][:2]
    assert torch.equal(first[1:], second[:-1])  # a sample begins at every position

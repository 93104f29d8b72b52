"""Digits as pictures, sounds and words: what belongs together is together."""

from pathlib import Path

import pytest
import torch
from aigc_joint.datasets.digits import (
    HELD_OUT_SPEAKERS,
    WORDS,
    SpokenDigits,
    TonedDigits,
    paired,
    word_bytes,
)
from aigc_joint.options import SpokenDigitsOptions, TonedDigitsOptions

from aigc_audio.datasets.fsdd import Fsdd, recordings
from aigc_audio.options import FsddOptions
from aigc_core import DataFolders, SampleSpec
from aigc_image.datasets.mnist import Mnist
from aigc_image.options import MnistOptions

SPEC = SampleSpec(shape=(1,), dtype="uint8")


def words_of(text: torch.Tensor) -> list[str]:
    return [bytes(row).decode().rstrip("\0") for row in text.to(torch.uint8).numpy()]


def test_each_picture_gets_a_sound_of_its_class_and_its_word() -> None:
    labels = torch.arange(400) % 10
    digits = torch.arange(50) % 10
    store = paired(
        labels[:, None].to(torch.uint8),
        labels,
        (digits + 10 * torch.arange(50))[:, None],
        digits,
        (SPEC, SPEC),
        torch.Generator().manual_seed(0),
    )
    assert torch.equal(store.arrays["sound"][:, 0] % 10, labels)
    assert len(store.arrays["sound"].unique()) == 50  # all of them are used
    assert words_of(store.arrays["text"]) == [WORDS[label] for label in labels]


def test_toned_digits_need_nothing_and_are_the_same_each_time(tmp_path: Path) -> None:
    dataset = TonedDigits(TonedDigitsOptions(count=300, size=8), DataFolders(None, tmp_path))
    dataset.prepare()
    train, test = dataset.load("train"), dataset.load("test")
    assert (len(train), len(test)) == (300, 297)
    assert train.arrays["samples"].shape == (300, 1, 8, 8)
    assert train.arrays["sound"].shape == (300, 1, 4096)
    again = dataset.load("train")
    assert all(torch.equal(train.arrays[name], again.arrays[name]) for name in train.arrays)
    # C4 of a zero, A4 of a nine, 20 cents apart at most
    for label, hz in ((0, 261.63), (9, 440.0)):
        clip = train.arrays["sound"][train.arrays["labels"] == label][0, 0].double()
        spectrum = torch.fft.rfft(clip, n=1 << 16).abs()
        assert float(spectrum.argmax()) * 8000 / (1 << 16) == pytest.approx(hz, rel=0.015)


def test_spoken_digits_hold_back_pictures_and_speakers(real_data: Path, tmp_path: Path) -> None:
    folders = DataFolders(real_data, tmp_path)
    dataset = SpokenDigits(SpokenDigitsOptions(count=600), folders)
    dataset.prepare()
    fsdd = Fsdd(FsddOptions(), folders)
    heard = {}  # the speaker of each clip
    for split in ("train", "test"):
        for name, clip in zip(recordings(split), fsdd.load(split).arrays["samples"], strict=True):
            heard[clip.numpy().tobytes()] = name
    for split, pictures, count in (("train", "train", 600), ("test", "test", 100)):
        store = dataset.load(split)
        assert len(store) == count
        names = [heard[clip.numpy().tobytes()] for clip in store.arrays["sound"]]
        held_out = {name.split("_")[1] in HELD_OUT_SPEAKERS for name in names}
        assert held_out == {split == "test"}
        assert [int(name[0]) for name in names] == store.arrays["labels"].tolist()
        assert words_of(store.arrays["text"]) == [WORDS[n] for n in store.arrays["labels"]]
        known = Mnist(MnistOptions(), folders).load(pictures).arrays["samples"]
        assert {p.numpy().tobytes() for p in store.arrays["samples"]} <= {
            p.numpy().tobytes() for p in known
        }


def test_a_word_is_bytes_filled_with_zeros() -> None:
    assert word_bytes("one").tolist() == [111, 110, 101, 0, 0]

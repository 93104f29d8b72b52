"""Digits as pictures, sounds and words, paired by class."""

import torch
from torch import Tensor

from aigc_audio.datasets.fsdd import Fsdd, recordings
from aigc_audio.datasets.tones import Tones
from aigc_audio.options import FsddOptions, TonesOptions
from aigc_core import Column, DataFolders, Dataset, SampleSpec, SampleStore
from aigc_core.datasets import check_split
from aigc_image.datasets.digits import Digits
from aigc_image.datasets.mnist import Mnist
from aigc_image.options import DigitsOptions, MnistOptions
from aigc_joint.options import SpokenDigitsOptions, TonedDigitsOptions

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
WORD_LENGTH = max(map(len, WORDS))
HELD_OUT_SPEAKERS = ("nicolas", "theo")
"""Those of the split ``test``; the other four are trained on."""
_SEEDS = {"train": 1, "test": 2}
_TEXT = SampleSpec(
    shape=(WORD_LENGTH,),
    dtype="int16",
    units={"vocabulary_size": 256},
    assets={"tokenizer": '{"kind": "bytes"}'},
)


class SpokenDigits(Dataset):
    """Pictures of MNIST, each with a recording of the same digit from FSDD, and its word.

    Which recording is drawn by a fixed seed. The split ``test`` has MNIST's test pictures, and
    recordings by speakers that ``train`` does not have.
    """

    options: SpokenDigitsOptions

    def prepare(self) -> None:
        """Find or download both datasets; see theirs."""
        self._pictures().prepare()
        self._sounds().prepare()

    def load(self, split: str) -> SampleStore:
        """Return ``samples`` uint8 ``(N, 1, size, size)``, ``sound``, ``text`` and ``labels``.

        ``sound`` is int16 ``(N, 1, samples)``, ``text`` int16 ``(N, 5)``: bytes filled with zeros.
        """
        check_split("spoken-digits", split, _SEEDS)
        pictures = self._pictures().load(split)
        count = self.options.count if split == "train" else min(10_000, -(-self.options.count // 6))
        clips, digits = self._recordings(split == "train")
        rng = torch.Generator().manual_seed(_SEEDS[split])
        chosen = torch.randperm(len(pictures), generator=rng)[:count]
        return paired(
            pictures.arrays["samples"][chosen],
            pictures.arrays["labels"][chosen],
            clips,
            digits,
            (pictures.spec, self._clip_spec),
            rng,
        )

    def _pictures(self) -> Mnist:
        return Mnist(MnistOptions(size=self.options.size), self.folders)

    def _sounds(self) -> Fsdd:
        options = FsddOptions(samples=self.options.samples, normalize=self.options.normalize)
        return Fsdd(options, self.folders)

    def _recordings(self, training: bool) -> tuple[Tensor, Tensor]:
        """Return the clips of these speakers and their digits, whatever FSDD's own split."""
        clips, digits = [], []
        for split in ("train", "test"):
            store = self._sounds().load(split)
            speakers = [name.split("_")[1] for name in recordings(split)]
            ours = torch.tensor([(who not in HELD_OUT_SPEAKERS) == training for who in speakers])
            clips.append(store.arrays["samples"][ours])
            digits.append(store.arrays["labels"][ours])
            self._clip_spec = store.spec
        return torch.cat(clips), torch.cat(digits)


class TonedDigits(Dataset):
    """Pictures of scikit-learn's digits, each with a note of its own pitch class, and its word."""

    options: TonedDigitsOptions

    def prepare(self) -> None:
        """Do nothing: pictures are part of scikit-learn, and notes are computed."""

    def load(self, split: str) -> SampleStore:
        """Return arrays as ``SpokenDigits.load`` does."""
        check_split("toned-digits", split, _SEEDS)
        pictures = Digits(DigitsOptions(size=self.options.size), self.folders).load("train")
        tones = Tones(
            TonesOptions(samples=self.options.samples, count=1200),
            DataFolders(None, self.folders.cache),
        )
        notes = tones.load(split)
        rng = torch.Generator().manual_seed(_SEEDS[split])
        order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(0))
        chosen = order[: self.options.count] if split == "train" else order[1500:]
        return paired(
            pictures.arrays["samples"][chosen],
            pictures.arrays["labels"][chosen],
            notes.arrays["samples"],
            notes.arrays["labels"],
            (pictures.spec, notes.spec),
            rng,
        )


def paired(
    pictures: Tensor,
    labels: Tensor,
    clips: Tensor,
    digits: Tensor,
    specs: tuple[SampleSpec, SampleSpec],
    rng: torch.Generator,
) -> SampleStore:
    """Return pictures, each with a clip of its class and its word.

    Args:
        pictures: ``(N, …)``.
        labels: int64 ``(N,)``, from 0 to 9.
        clips: ``(M, …)``.
        digits: int64 ``(M,)``; each class is there.
        specs: of a picture and of a clip.
        rng: chooses among the clips of a class.
    """
    chances = torch.rand(len(labels), generator=rng)
    rows = torch.empty(len(labels), dtype=torch.int64)
    for digit in range(len(WORDS)):
        of_class = (digits == digit).nonzero().flatten()
        mine = labels == digit
        rows[mine] = of_class[(chances[mine] * len(of_class)).long()]
    words = torch.stack([word_bytes(word) for word in WORDS])
    return SampleStore(
        arrays={
            "samples": pictures,
            "labels": labels,
            "sound": clips[rows],
            "text": words[labels],
        },
        spec=specs[0],
        label_names=WORDS,
        columns={
            "sound": Column(modality="audio", spec=specs[1]),
            "text": Column(modality="text", spec=_TEXT),
        },
    )


def word_bytes(word: str) -> Tensor:
    """Return the bytes of a word as int16 ``(5,)``, filled up with zeros."""
    return torch.tensor(list(word.encode().ljust(WORD_LENGTH, b"\0")), dtype=torch.int16)

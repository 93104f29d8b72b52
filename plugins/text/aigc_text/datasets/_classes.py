"""Text with classes: every sample lies within one class and has a label.

Overlapping windows are cheap only in one unbroken text, and every border breaks it, between classes
or between training and held-out text. So each class is cut into consecutive samples, which are
written to disk with their labels. Only text with classes pays for this: as much
disk as its tokens, and eight bytes for each sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aigc_core.datasets import PackedArray, atomic_file
from aigc_core.storage import RowReader, Segment
from aigc_text.datasets._tokens import EncodedText, holds, torch_type

_BLOCK = 1 << 20  # tokens or labels copied at once
_LABEL = np.dtype(np.int64)


class ClassedSamples:
    """One split's samples and labels, in two files."""

    def __init__(
        self, target: Path, text: EncodedText, split: str, length: int, validation: float
    ) -> None:
        """Take the tokens, their file ``target`` and how to cut them; write nothing yet."""
        self._tokens_file = target
        self._dtype, self._wanted = text.stored, text.dtype
        self._length = length
        self._spans = list(_spans(text.counts, split, length, validation))
        stem = f"{target.stem}-{length}-{validation:g}-{split}"
        self._samples_file = target.with_name(f"{stem}.samples")
        self._labels_file = target.with_name(f"{stem}.labels")

    @property
    def counts(self) -> list[int]:
        """Samples of each class."""
        return [count for _, count in self._spans]

    def write(self) -> None:
        """Write both files unless they exist."""
        if not self.is_there():
            _write(self._samples_file, self._sample_blocks())
            _write(self._labels_file, self._label_blocks())

    def is_there(self) -> bool:
        """Return whether both files exist."""
        count = sum(self.counts)
        return holds(self._samples_file, self._dtype, count * self._length) and holds(
            self._labels_file, _LABEL, count
        )

    def read(self) -> tuple[PackedArray, PackedArray]:
        """Return samples ``(N, length)`` and labels int64 ``(N,)``, on disk."""
        count = sum(self.counts)
        samples, labels = (
            [Segment(file, 0, count)] for file in (self._samples_file, self._labels_file)
        )
        stored = torch_type(self._dtype)
        return (
            PackedArray(RowReader(samples, (self._length,), stored, dtype=self._wanted)),
            PackedArray(RowReader(labels, (), torch.int64)),
        )

    def _sample_blocks(self) -> Iterator[NDArray[Any]]:
        for first, samples in self._spans:
            end = first + samples * self._length
            for start in range(first, end, _BLOCK):
                count = min(_BLOCK, end - start)
                # Read, not mapped: touched pages of a map would stay in memory for a while.
                yield np.fromfile(
                    self._tokens_file, self._dtype, count, offset=start * self._dtype.itemsize
                )

    def _label_blocks(self) -> Iterator[NDArray[Any]]:
        for label, count in enumerate(self.counts):
            for start in range(0, count, _BLOCK):
                yield np.full(min(_BLOCK, count - start), label, _LABEL)


def _spans(
    counts: Sequence[int], split: str, length: int, validation: float
) -> Iterator[tuple[int, int]]:
    """Yield each class's first token and number of samples; the end of each is held out."""
    first = 0
    for tokens in counts:
        samples = tokens // length
        held_out = int(samples * validation)
        trained_on = samples - held_out
        if split == "train":
            yield first, trained_on
        else:
            yield first + trained_on * length, held_out
        first += tokens


def _write(path: Path, blocks: Iterator[NDArray[Any]]) -> None:
    with atomic_file(path) as scratch, scratch.open("wb") as file:
        for block in blocks:
            file.write(block.tobytes())

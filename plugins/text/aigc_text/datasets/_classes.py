"""Text with classes: every sample lies within one class and has a label.

Overlapping windows are cheap only in one unbroken text, and every border breaks it, between classes
or between training and held-out text. So each class is cut into consecutive samples, which are
written to disk with their labels and memory-mapped. Only text with classes pays for this: as much
disk as its tokens, and eight bytes for each sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from aigc_core.datasets import atomic_file
from aigc_text.datasets._tokens import EncodedText, map_array

_BLOCK = 1 << 20  # tokens or labels copied at once
_LABEL = np.dtype(np.int64)


class ClassedSamples:
    """One split's samples and labels, in two files."""

    def __init__(
        self, target: Path, text: EncodedText, split: str, length: int, validation: float
    ) -> None:
        """Take the tokens, their file ``target`` and how to cut them; write nothing yet."""
        self._tokens_file = target
        self._dtype: np.dtype[Any] = text.tokens.numpy().dtype
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
        if self.read() is None:
            _write(self._samples_file, self._sample_blocks())
            _write(self._labels_file, self._label_blocks())

    def read(self) -> tuple[Tensor, Tensor] | None:
        """Map samples ``(N, length)`` and labels int64 ``(N,)``; None unless both files exist."""
        count = sum(self.counts)
        samples = map_array(self._samples_file, self._dtype, count * self._length)
        labels = map_array(self._labels_file, _LABEL, count)
        if samples is None or labels is None:
            return None
        return samples.view(count, self._length), labels

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

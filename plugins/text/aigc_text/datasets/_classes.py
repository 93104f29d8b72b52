"""Text of several classes: samples that lie within one class each, and a label for every sample.

Windows at every position would be cheap to keep only in one unbroken text: each border between
classes, or between what is trained on and what is held out, breaks it. So a class is cut into
samples one after another, and these are written out, with their labels, to be mapped as well.
Only text with classes pays for it: disk as large as its tokens, and eight bytes for each sample.
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

_BLOCK = 1 << 20  # tokens, or labels, that are copied at once
_LABEL = np.dtype(np.int64)


class ClassedSamples:
    """One split's samples and labels, in two files."""

    def __init__(
        self, target: Path, text: EncodedText, split: str, length: int, validation: float
    ) -> None:
        """Take the tokens and their file, and how they are cut; write nothing yet."""
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
        """Write both files unless they are there."""
        if self.read() is None:
            _write(self._samples_file, self._sample_blocks())
            _write(self._labels_file, self._label_blocks())

    def read(self) -> tuple[Tensor, Tensor] | None:
        """Return maps of samples ``(N, length)`` and labels int64 ``(N,)``; None without them."""
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
                # Read, not mapped: pages of a map that were touched would stay for a while.
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

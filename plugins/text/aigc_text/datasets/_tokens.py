"""Files of tokens: written while the text is read, in the smallest type that holds them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aigc_core.datasets import PackedArray, atomic_file
from aigc_core.storage import Progress, RowReader, Segment
from aigc_text.options import TextOptions
from aigc_text.tokenizer import Tokenizer
from aigc_text.tokenizers import Bytes, Characters, tokenizer_from_json

Pieces = Callable[[], Iterable[str]]


@dataclass(frozen=True)
class EncodedText:
    """A whole text as tokens."""

    file: Path
    """Of the tokens."""
    stored: np.dtype[Any]
    """Their type in the file."""
    tokenizer: Tokenizer
    counts: tuple[int, ...]
    """Number of tokens in each part of the text, in order."""

    @property
    def dtype(self) -> torch.dtype:
        """Type of the tokens as samples: int16, or int32 for more than 32,768."""
        return torch.int16 if self.tokenizer.vocabulary_size <= 2**15 else torch.int32

    def part(self, first: int, last: int) -> PackedArray:
        """Return the tokens from ``first`` to before ``last``, on disk."""
        segment = Segment(self.file, first * self.stored.itemsize, last - first)
        return PackedArray(RowReader([segment], (), torch_type(self.stored), dtype=self.dtype))


@dataclass(frozen=True)
class TextPart:
    """The text of one class, or all of it if there are no classes."""

    label: str
    pieces: Pieces
    """Returns the text, in pieces; called once or twice."""
    bytes: int
    """Approximate size in bytes as UTF-8."""


def make_tokenizer(options: TextOptions, parts: Sequence[TextPart]) -> Tokenizer:
    """Return the tokenizer that the options name, made from the text.

    Byte pairs are learned from the training part; characters are taken from the whole text.
    """
    if options.tokenizer == "bytes":
        return Bytes()
    if options.tokenizer == "characters":
        return Characters.of(chain.from_iterable(part.pieces() for part in parts))
    from aigc_text.bpe import BytePairs  # imports its library only when it is needed

    share = 1 - options.validation
    trained_on = (_first(part.pieces(), int(part.bytes * share)) for part in parts)
    return BytePairs.of(chain.from_iterable(trained_on), options.vocabulary_size)


def _first(pieces: Iterable[str], count: int) -> Iterator[str]:
    for piece in pieces:
        if count <= 0:
            return
        yield piece[:count] if count < len(piece) else piece
        count -= len(piece.encode())


def write_tokens(tokenizer: Tokenizer, parts: Sequence[TextPart], path: Path) -> None:
    """Encode a text into ``path``, and describe it in a JSON file beside it.

    The JSON is written last: if it exists, the tokens are complete. Memory use does not grow with
    the text.
    """
    dtype = np.dtype(_smallest(tokenizer.vocabulary_size))
    counts = [0] * len(parts)
    with (
        atomic_file(path) as scratch,
        scratch.open("wb") as file,
        Progress("Encoding text", "tokens") as progress,
    ):
        for number, part in enumerate(parts):
            for tokens in tokenizer.encode_pieces(part.pieces()):
                file.write(tokens.astype(dtype).tobytes())
                counts[number] += len(tokens)
                progress.add(len(tokens))
    facts = {"counts": counts, "dtype": dtype.name, "tokenizer": tokenizer.to_json()}
    with atomic_file(_facts_of(path)) as scratch:
        scratch.write_text(json.dumps(facts), encoding="utf-8")


def _smallest(vocabulary_size: int) -> type[np.integer[Any]]:
    if vocabulary_size <= 2**16:
        return np.uint8 if vocabulary_size <= 2**8 else np.uint16
    return np.int32


def read_tokens(path: Path) -> EncodedText | None:
    """Find what ``write_tokens`` wrote; None if it is missing or damaged."""
    try:
        facts = json.loads(_facts_of(path).read_text(encoding="utf-8"))
        dtype, counts = np.dtype(facts["dtype"]), tuple(map(int, facts["counts"]))
        tokenizer = tokenizer_from_json(facts["tokenizer"])
        there = holds(path, dtype, sum(counts))
    except (OSError, KeyError, TypeError, ValueError):
        return None
    return EncodedText(path, dtype, tokenizer, counts) if there else None


def holds(path: Path, dtype: np.dtype[Any], count: int) -> bool:
    """Return whether a file is there and has the size of this many numbers."""
    try:
        return path.stat().st_size == count * dtype.itemsize
    except OSError:
        return False


def torch_type(dtype: np.dtype[Any]) -> torch.dtype:
    """Return PyTorch's name of a type."""
    return torch.from_numpy(np.empty(0, dtype)).dtype


def _facts_of(path: Path) -> Path:
    return path.with_name(path.name + ".json")

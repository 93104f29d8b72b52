"""Files of tokens: written while the text is read, then memory-mapped instead of read."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aigc_core.datasets import atomic_file
from aigc_text.options import TextOptions
from aigc_text.tokenizer import Tokenizer
from aigc_text.tokenizers import Bytes, Characters, tokenizer_from_json

Pieces = Callable[[], Iterable[str]]


@dataclass(frozen=True)
class EncodedText:
    """A whole text as tokens."""

    tokens: Tensor
    """``(T,)``, int16 or int32: a memory-mapped file, which must not be written to."""
    tokenizer: Tokenizer
    counts: tuple[int, ...]
    """Number of tokens in each part of the text, in order."""


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
    dtype = np.dtype(np.int16 if tokenizer.vocabulary_size <= 2**15 else np.int32)
    counts = [0] * len(parts)
    with atomic_file(path) as scratch, scratch.open("wb") as file:
        for number, part in enumerate(parts):
            for tokens in tokenizer.encode_pieces(part.pieces()):
                file.write(tokens.astype(dtype).tobytes())
                counts[number] += len(tokens)
    facts = {"counts": counts, "dtype": dtype.name, "tokenizer": tokenizer.to_json()}
    with atomic_file(_facts_of(path)) as scratch:
        scratch.write_text(json.dumps(facts), encoding="utf-8")


def read_tokens(path: Path) -> EncodedText | None:
    """Map what ``write_tokens`` wrote; None if it is missing or damaged."""
    try:
        facts = json.loads(_facts_of(path).read_text(encoding="utf-8"))
        dtype, counts = np.dtype(facts["dtype"]), tuple(map(int, facts["counts"]))
        tokenizer = tokenizer_from_json(facts["tokenizer"])
        tokens = map_array(path, dtype, sum(counts))
    except (OSError, KeyError, TypeError, ValueError):
        return None
    return None if tokens is None else EncodedText(tokens, tokenizer, counts)


def map_array(path: Path, dtype: np.dtype[Any], count: int) -> Tensor | None:
    """Map a file of ``count`` numbers; None if it is missing or of another size."""
    try:
        if path.stat().st_size != count * dtype.itemsize:
            return None
        # Read-only: torch.from_file maps for writing, which the kernel refuses for files that are
        # larger than the memory.
        mapped = np.memmap(path, dtype, mode="r") if count else np.empty(0, dtype)
    except FileNotFoundError:
        return None
    except OSError:  # a file system without memory maps: read the file
        try:
            mapped = np.fromfile(path, dtype)
        except OSError:
            return None
        if len(mapped) != count:
            return None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable")
        return torch.from_numpy(mapped)


def _facts_of(path: Path) -> Path:
    return path.with_name(path.name + ".json")

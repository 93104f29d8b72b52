"""The tokenizer interface: text to numbers and back, saved as JSON beside what was encoded."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int32]


class UnknownCharacterError(ValueError):
    """A text holds a character that the tokenizer has no token for."""


class Tokenizer(ABC):
    """Maps text to tokens in [0, vocabulary_size) and back."""

    kind: ClassVar[str]
    vocabulary_size: int
    lossless: bool
    """Whether decoding any tokens and encoding the text again gives the same tokens."""

    @abstractmethod
    def encode(self, text: str) -> Tokens:
        """Return the tokens; raise ``UnknownCharacterError`` if a character has no token."""

    @abstractmethod
    def decode(self, tokens: Tokens) -> str:
        """Return the text; an incomplete character becomes U+FFFD."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return what ``tokenizer_from_json`` needs, besides the kind, as JSON data."""

    def encode_pieces(self, pieces: Iterable[str]) -> Iterator[Tokens]:
        """Yield the tokens of a long text that comes in pieces."""
        return map(self.encode, pieces)

    @property
    def start(self) -> int:
        """The token before a text without a prompt: a newline's, or 0 if it has none."""
        try:
            return int(self.encode("\n")[-1])
        except UnknownCharacterError:
            return 0

    def to_json(self) -> str:
        """Return the kind and the state as JSON."""
        return json.dumps({"kind": self.kind, **self.state()})

"""The tokenizers that need no library, and any tokenizer from its JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aigc_text.tokenizer import Tokenizer, Tokens, UnknownCharacterError


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


class Characters(Tokenizer):
    """One token for each character in the text, in Unicode order."""

    kind = "characters"
    lossless = True

    def __init__(self, characters: str) -> None:
        """Take the characters, each once and in order."""
        self.characters = characters
        self.vocabulary_size = len(characters)
        self._codes = _code_points(characters)
        self._tokens = np.full(0x110000, -1, np.int32)
        self._tokens[self._codes] = np.arange(len(characters))

    @classmethod
    def of(cls, pieces: Iterable[str]) -> Characters:
        """Make the tokenizer for a text in pieces."""
        there = np.zeros(0x110000, np.bool_)
        for piece in pieces:
            there[_code_points(piece)] = True
        return cls("".join(map(chr, np.flatnonzero(there))))

    def encode(self, text: str) -> Tokens:
        tokens = self._tokens[_code_points(text)]
        unknown = np.flatnonzero(tokens < 0)
        if len(unknown):
            place = int(unknown[0])
            raise UnknownCharacterError(
                f"There is no token for {text[place]!r} (U+{ord(text[place]):04X}), character "
                f"{place + 1} of the text. The tokenizer knows the {self.vocabulary_size} "
                "characters of the data that it was made from"
            )
        return tokens

    def decode(self, tokens: Tokens) -> str:
        return self._codes[tokens].tobytes().decode("utf-32-le")

    def state(self) -> dict[str, Any]:
        return {"characters": self.characters}


class Bytes(Tokenizer):
    """The bytes of UTF-8: any text, 256 tokens, and nothing to learn."""

    kind = "bytes"
    vocabulary_size = 256
    lossless = False  # half a character decodes to U+FFFD

    def encode(self, text: str) -> Tokens:
        return np.frombuffer(text.encode(), np.uint8).astype(np.int32)

    def decode(self, tokens: Tokens) -> str:
        return tokens.astype(np.uint8).tobytes().decode(errors="replace")

    def state(self) -> dict[str, Any]:
        return {}


def tokenizer_from_json(text: str) -> Tokenizer:
    """Return the tokenizer that ``to_json`` described.

    Raises:
        ValueError: ``text`` describes no tokenizer.
    """
    try:
        state = json.loads(text)
        kind = state.pop("kind")
        if kind == "bpe":
            from aigc_text.bpe import BytePairs  # imports its library only when it is needed

            return BytePairs(**state)
        kinds: dict[str, type[Tokenizer]] = {"characters": Characters, "bytes": Bytes}
        return kinds[kind](**state)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"this is no tokenizer: {text:.60}") from error

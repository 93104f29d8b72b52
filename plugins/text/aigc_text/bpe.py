"""Byte-pair encoding with Hugging Face's ``tokenizers``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
from tokenizers import Tokenizer as Library
from tokenizers import decoders, models, pre_tokenizers, trainers

from aigc_text.tokenizer import Tokenizer, Tokens

_PIECES_AT_ONCE = 8  # encoded in parallel


class BytePairs(Tokenizer):
    """Frequent sequences of bytes within words, as in GPT-2; any text can be encoded."""

    kind = "bpe"
    lossless = False  # different tokens can decode to the same text

    def __init__(self, library: str) -> None:
        """Take the JSON of Hugging Face's tokenizer."""
        try:
            self._library = Library.from_str(library)
        except Exception as error:  # the library raises no narrower class
            raise ValueError(str(error)) from error
        self._json = library
        self.vocabulary_size = self._library.get_vocab_size()

    @classmethod
    def of(cls, pieces: Iterable[str], vocabulary_size: int) -> BytePairs:
        """Learn from a text in pieces; a short text gives a smaller vocabulary."""
        made = Library(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary_size,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        made.train_from_iterator(between_words(pieces), trainer)
        return cls(made.to_str())

    def encode(self, text: str) -> Tokens:
        return np.array(self._library.encode(text).ids, np.int32)

    def encode_pieces(self, pieces: Iterable[str]) -> Iterator[Tokens]:
        """Yield the tokens of the whole text: pieces are cut where no pair can span the cut."""
        whole = between_words(pieces)
        while batch := list(islice(whole, _PIECES_AT_ONCE)):
            for encoded in self._library.encode_batch(batch):
                yield np.array(encoded.ids, np.int32)

    def decode(self, tokens: Tokens) -> str:
        return str(self._library.decode(tokens.tolist(), skip_special_tokens=False))

    def state(self) -> dict[str, Any]:
        return {"library": self._json}


def between_words(pieces: Iterable[str]) -> Iterator[str]:
    """Re-cut a text in pieces, between a word's end and the space or newline after it.

    GPT-2's rule always begins a new part there, so the pieces have the same tokens as the whole. A
    piece without such a place is kept as it is: a text without spaces loses a pair at some cuts.
    """
    kept = ""
    for piece in pieces:
        text = kept + piece
        cut = len(text)
        while (cut := max(text.rfind(" ", 0, cut), text.rfind("\n", 0, cut))) > 0:
            if not text[cut - 1].isspace():
                break
        cut = cut if cut > 0 else len(text)
        yield text[:cut]
        kept = text[cut:]
    if kept:
        yield kept

"""Texts as they are drawn: piece by piece, and no piece is taken back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor

from aigc_core.api.request import CheckedRequest
from aigc_core.engine import chunk_inputs
from aigc_core.interfaces import AutoregressiveGenerator, TextCodec, TokenControls

Ended = Literal["stop", "length"]
_UNFINISHED = "\ufffd"  # what half a character decodes to


@dataclass(frozen=True)
class TextPiece:
    """A further piece of one of several texts."""

    index: int
    """Which of the request's texts."""
    text: str
    ended: Ended | None
    """With a text's last piece, which may be empty: whether a stop or its length ended it."""
    tokens: int
    """How many tokens of this text were drawn up to here."""


def drawn_pieces(
    generator: AutoregressiveGenerator,
    codec: TextCodec,
    asked: CheckedRequest,
    stops: Sequence[str],
    device: torch.device,
) -> Iterator[TextPiece]:
    """Yield the texts of a request as they are drawn, those of a chunk side by side.

    A piece comes with each token, and may be empty: half a character, or what may be the beginning
    of a stop, is held back. Joined, the pieces of text *i* are sample *i* of the same request,
    up to the first stop.
    """
    length = cast(TokenControls, asked.controls).tokens or generator.sample_length
    chunks = chunk_inputs(
        generator, asked.count, seed=asked.seed, device=device, conditions=asked.conditions
    )
    size = generator.sample_chunk
    for start, rng, rows in chunks:
        steps = generator.stream(size, rng=rng, conditions=rows, controls=asked.controls)
        texts = {row: CutText(codec, stops) for row in range(min(size, asked.count - start))}
        for number in range(length):
            with torch.no_grad():
                tokens: list[int] = next(steps).tolist()
            for row, text in list(texts.items()):
                piece, ended = text.add(tokens[row], last=number == length - 1)
                yield TextPiece(start + row, piece, ended, number + 1)
                if ended:
                    del texts[row]
            if not texts:
                break


def whole_pieces(
    codec: TextCodec, chunks: Iterator[Tensor], stops: Sequence[str]
) -> Iterator[TextPiece]:
    """Yield texts that cannot be drawn in pieces, each as one; ``chunks`` are stored samples."""
    index = 0
    for chunk in chunks:
        for tokens in chunk:
            found = first_stop(text := codec.decode(tokens), stops)
            cut = text if found is None else text[:found]
            yield TextPiece(index, cut, "length" if found is None else "stop", len(tokens))
            index += 1


class CutText:
    """Makes text of tokens, up to the first stop."""

    def __init__(self, codec: TextCodec, stops: Sequence[str]) -> None:
        self._codec = codec
        self._stops = [stop for stop in stops if stop]
        self._unsettled: list[int] = []  # tokens that end in half a character
        self._held = ""  # text that may be the beginning of a stop

    def add(self, token: int, *, last: bool) -> tuple[str, Ended | None]:
        """Return the text that is settled by a further token, and why the whole ends, if so."""
        self._unsettled.append(token)
        text = self._held + self._codec.decode(torch.tensor(self._unsettled))
        if text.endswith(_UNFINISHED) and not last:
            return "", None
        self._unsettled = []
        if (found := first_stop(text, self._stops)) is not None:
            return text[:found], "stop"
        kept = 0 if last else max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - kept :]
        return text[: len(text) - kept], "length" if last else None


def first_stop(text: str, stops: Sequence[str]) -> int | None:
    """Return where the stop begins that is complete first, or None."""
    ends = [(text.index(stop) + len(stop), text.index(stop)) for stop in stops if stop in text]
    return min(ends)[1] if ends else None


def _overlap(text: str, stop: str) -> int:
    """Return how many characters at the end of ``text`` could be the beginning of ``stop``."""
    longest = min(len(stop) - 1, len(text))
    return next((size for size in range(longest, 0, -1) if text.endswith(stop[:size])), 0)

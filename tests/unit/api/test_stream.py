"""Text in pieces: joined they are the whole text, and none takes back what another gave."""

import pytest
import torch

from aigc_core import AutoregressiveGenerator
from aigc_core.api import Request, RequestValidator, Sampler


class Reciter(AutoregressiveGenerator):
    """Recites given tokens, whatever it is asked."""

    vocabulary_size = 256

    def __init__(self, tokens: bytes) -> None:
        super().__init__()
        self.tokens = tokens
        self.sample_length = len(tokens)

    def forward(self, tokens, condition=None):
        raise AssertionError("nothing to compute")

    def stream(self, count, **_):
        for token in self.tokens:
            yield torch.tensor([token])


class Utf8:
    def encode(self, text: str) -> torch.Tensor:
        return torch.tensor(list(text.encode()))

    def encode_sample(self, text: str) -> torch.Tensor:
        raise AssertionError("there is no column of text")

    def decode(self, tokens: torch.Tensor) -> str:
        return bytes(tokens.tolist()).decode(errors="replace")


def recited(text: str | bytes, **options) -> list[str]:
    generator = Reciter(text.encode() if isinstance(text, str) else text)

    sampler = object.__new__(Sampler)  # without a run
    sampler.generator, sampler.device = generator, torch.device("cpu")
    sampler.validator = RequestValidator("text/reciter", generator, {"samples": Utf8()}, ())
    stop = options.pop("stop", None)
    return list(sampler.stream_text(Request(controls=options), stop))


def test_every_token_that_ends_a_character_is_given_at_once() -> None:
    assert recited("a é€😀") == ["a", " ", "é", "€", "😀"]


def test_half_a_character_at_the_end_becomes_a_replacement() -> None:
    assert recited("a€".encode()[:-1]) == ["a", "\ufffd"]


def test_bytes_that_are_no_character_do_not_hold_up_the_rest() -> None:
    assert "".join(recited(b"\xff\xfeab\xe2c")) == "\ufffd\ufffdab\ufffdc"


def test_stop_ends_the_text_before_itself_across_tokens() -> None:
    assert "".join(recited("one.\n\ntwo", stop="\n\n")) == "one."
    assert "".join(recited("ab€c", stop="b€")) == "a"


def test_the_beginning_of_stop_is_held_back_until_it_is_none() -> None:
    pieces = recited("xENxEND?", stop="END")
    assert pieces == ["x", "ENx", ""] or pieces == ["x", "ENx"]
    assert "".join(recited("xEN", stop="END")) == "xEN"


def test_stop_that_overlaps_itself_is_found() -> None:
    assert "".join(recited("aababac", stop="abac")) == "aab"


def test_so_many_tokens_and_no_more() -> None:
    assert "".join(recited("abcdef", tokens=4)) == "abcd"


def test_a_text_is_decoded_in_linear_time(monkeypatch) -> None:
    decoded = []
    monkeypatch.setattr(
        Utf8, "decode", lambda self, tokens: decoded.append(len(tokens)) or "x" * len(tokens)
    )
    assert len("".join(recited("y" * 3000))) == 3000
    assert sum(decoded) == 3000


@pytest.mark.parametrize("stop", ["a", "ab", "ba", "aab", "b" * 9])
@pytest.mark.parametrize("text", ["aabbab", "abab", "bbbbbbbbbb", "", "aaab"])
def test_whatever_the_pieces_the_text_ends_where_stop_begins(monkeypatch, text, stop) -> None:
    if text:
        assert "".join(recited(text, stop=stop)) == text.split(stop)[0]

"""Text in pieces: joined they are the whole text, and none takes back what another gave."""

import pytest
import torch
from toys import ToySequence

from aigc_core import AutoregressiveGenerator
from aigc_core.api import Request, RequestValidator, Sampler
from aigc_core.api.text_stream import TextPiece
from aigc_core.engine import draw_chunks, joined


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


@pytest.mark.parametrize("stops", [["ab", "c"], ["c", "ab"], ["abcd", "bc"], ["", "b"]])
def test_of_several_stops_the_one_counts_that_is_complete_first(stops) -> None:
    text = "xxabcd"
    ends = [(text.index(s) + len(s), text.index(s)) for s in stops if s]
    pieces = texts(Reciter(text.encode()), Utf8(), stops)
    assert "".join(piece.text for piece in pieces) == text[: min(ends)[1]]
    assert pieces[-1].ended == "stop"


def texts(generator, codec, stops=(), count=1, seed=0, **controls) -> list[TextPiece]:
    sampler = object.__new__(Sampler)
    sampler.generator, sampler.device = generator, torch.device("cpu")
    sampler.validator = RequestValidator("text/toy", generator, {"samples": codec}, ())
    request = Request(count=count, seed=seed, controls=controls)
    return list(sampler.stream_texts(request, stops))


class Letters(Utf8):
    def decode(self, tokens: torch.Tensor) -> str:
        return "".join("abcdefg"[token] for token in tokens.tolist())


@pytest.mark.parametrize("chunk", [1, 3, 8])
def test_texts_in_pieces_are_the_samples_of_the_same_request(monkeypatch, chunk) -> None:
    torch.manual_seed(0)
    generator = ToySequence().eval()
    monkeypatch.setattr(ToySequence, "sample_chunk", chunk)
    counted = joined(draw_chunks(generator, 5, seed=4, device=torch.device("cpu")))["samples"]
    found = dict.fromkeys(range(5), "")
    ends = {}
    for piece in texts(generator, Letters(), count=5, seed=4):
        found[piece.index] += piece.text
        if piece.ended:
            ends[piece.index] = (piece.ended, piece.tokens)
    assert list(found.values()) == [Letters().decode(tokens) for tokens in counted]
    assert ends == dict.fromkeys(range(5), ("length", 12))


def test_a_text_that_has_ended_is_drawn_no_further(monkeypatch) -> None:
    monkeypatch.setattr(ToySequence, "sample_chunk", 4)
    torch.manual_seed(0)
    pieces = texts(ToySequence().eval(), Letters(), stops=list("abcdefg"), count=3)
    assert [(piece.index, piece.ended, piece.tokens) for piece in pieces] == [
        (index, "stop", 1) for index in range(3)
    ]

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigc_text.bpe import BytePairs, between_words
from aigc_text.tokenizers import (
    Bytes,
    Characters,
    Tokenizer,
    UnknownCharacterError,
    tokenizer_from_json,
)

TEXT = "To be, or not to be: that is the question.\n\n  «Être» – 存在 😀\r\n" * 20


def bpe() -> BytePairs:
    return BytePairs.of([TEXT], 300)


MAKERS = [lambda: Characters.of([TEXT]), Bytes, bpe]


@pytest.mark.parametrize("make", MAKERS)
def test_text_survives_encoding_and_decoding(make) -> None:
    tokenizer: Tokenizer = make()
    tokens = tokenizer.encode(TEXT)
    assert tokens.dtype == np.int32
    assert tokens.min() >= 0
    assert tokens.max() < tokenizer.vocabulary_size
    assert tokenizer.decode(tokens) == TEXT


@pytest.mark.parametrize("make", MAKERS)
def test_a_tokenizer_survives_its_json(make) -> None:
    tokenizer: Tokenizer = make()
    again = tokenizer_from_json(tokenizer.to_json())
    assert again.kind == tokenizer.kind
    assert again.vocabulary_size == tokenizer.vocabulary_size
    assert again.to_json() == tokenizer.to_json()
    assert np.array_equal(again.encode(TEXT), tokenizer.encode(TEXT))


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("size", [1, 2, 7, 100, 10_000])
def test_pieces_have_the_tokens_of_the_whole(make, size: int) -> None:
    tokenizer: Tokenizer = make()
    pieces = [TEXT[i : i + size] for i in range(0, len(TEXT), size)]
    found = np.concatenate(list(tokenizer.encode_pieces(pieces)))
    assert tokenizer.decode(found) == TEXT
    if size >= 100:  # shorter ones hold no border between words
        assert np.array_equal(found, tokenizer.encode(TEXT))


def test_characters_are_numbered_in_the_order_of_unicode() -> None:
    tokenizer = Characters.of(["ba", "c", "aé😀"])
    assert tokenizer.characters == "abcé😀"
    assert tokenizer.encode("😀a").tolist() == [4, 0]
    assert tokenizer.lossless


def test_an_unknown_character_is_named_with_its_place() -> None:
    with pytest.raises(UnknownCharacterError, match=r"'ß' \(U\+00DF\), character 4 of the text"):
        Characters.of(["abc"]).encode("cabß")


def test_half_a_character_becomes_a_replacement() -> None:
    assert Bytes().decode(np.array([0x61, 0xE2, 0x82])) == "a\ufffd"
    pairs = bpe()
    assert pairs.decode(pairs.encode("鯨")[:-1]) == "\ufffd"


def test_byte_pairs_encode_what_they_have_never_seen() -> None:
    pairs = bpe()
    strange = "ꙮ\0\x7f жук"
    assert pairs.decode(pairs.encode(strange)) == strange


def test_byte_pairs_shorten_what_they_learned_from() -> None:
    pairs = bpe()
    assert pairs.vocabulary_size == 300
    assert len(pairs.encode(TEXT)) < 0.6 * len(TEXT.encode())


def test_byte_pairs_are_the_same_whenever_they_are_learned() -> None:
    assert bpe().to_json() == bpe().to_json()


def test_a_short_text_gives_few_pairs() -> None:
    assert 256 <= BytePairs.of(["aa"], 1000).vocabulary_size <= 258


@pytest.mark.parametrize(
    ("text", "start"), [("a\nb", 0), ("\tx\n", 1), ("xyz", 0)], ids=["first", "later", "none"]
)
def test_a_text_starts_after_the_end_of_a_line(text: str, start: int) -> None:
    assert Characters.of([text]).start == start


def test_byte_tokenizers_start_there_too() -> None:
    assert Bytes().start == 10
    pairs = bpe()
    assert pairs.decode(np.array([pairs.start])) == "\n"


@given(st.lists(st.text("ab \n\t\u00a0"), max_size=8))
def test_cutting_between_words_loses_nothing(pieces: list[str]) -> None:
    assert "".join(between_words(pieces)) == "".join(pieces)


@given(st.lists(st.text("ab' \n\t\u00a0é1.", min_size=12), max_size=4))
def test_cutting_where_words_end_changes_no_token(pieces: list[str]) -> None:
    pairs = SHARED
    parts = list(between_words(pieces))
    safe = all(a[-1:].strip() and b[:1] in " \n" for a, b in pairwise(parts))
    if safe:
        found = [t for part in parts for t in pairs.encode(part).tolist()]
        assert found == pairs.encode("".join(pieces)).tolist()


SHARED = bpe()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"kind": "words"}',
        '{"kind": "characters"}',
        '{"kind": "bytes", "x": 1}',
        json.dumps({"kind": "bpe", "library": "{}"}),
    ],
)
def test_what_is_no_tokenizer_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="this is no tokenizer"):
        tokenizer_from_json(text)

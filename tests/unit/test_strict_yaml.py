"""YAML is read as people expect it, and nothing that is read or written can bite."""

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from aigc_core.errors import ConfigError
from aigc_core.strict_yaml import (
    MAX_BYTES,
    dump_yaml,
    load_yaml,
    parse_yaml,
)


def parse(text: str) -> Any:
    return parse_yaml(text, "a.yaml")


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    message = str(caught.value)
    assert message.startswith("a.yaml, line ")
    assert "\n" not in message
    assert len(message) < 250
    return message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2e-4", 2e-4),
        ("1e3", 1000.0),
        ("-1.5E+2", -150.0),
        ("1.", 1.0),
        (".5", 0.5),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("10_000", 10_000),
        ("1_0.5", 10.5),
        ("-3", -3),
        ("010", 10),
        ("true", True),
        ("False", False),
        ("~", None),
        ("Null", None),
        ("", None),
    ],
)
def test_numbers_and_words_of_the_core_schema_are_read(text: str, value: object) -> None:
    found = parse(text)
    assert (type(found), found) == (type(value), value)


def test_nan_is_read_as_not_a_number() -> None:
    assert math.isnan(parse(".nan"))


STAYS_TEXT = """
on yes No off y None tRUE 2020-01-01 2020-01-01T10:00:00 1:30 0x1F 0o17 1_ _1 1__0 1e e3 1e5_0 -.nan
= v1.10 ١٢ 1٢
"""


@pytest.mark.parametrize("text", [*STAYS_TEXT.split(), "2020-01-01 10:00:00"])
def test_everything_else_stays_text(text: str) -> None:
    assert parse(text) == text


def test_a_merge_key_is_a_key_like_any_other() -> None:
    assert parse("<<: {a: 1}\nb: 2") == {"<<": {"a": 1}, "b": 2}


def test_a_key_given_twice_is_refused() -> None:
    message = refused("engine:\n  seed: 1\n  'seed': 2")
    assert "line 3" in message
    assert "'seed' is there twice" in message


def test_an_alias_is_refused() -> None:
    assert "line 2" in refused("a: &x 1\nb: *x")


def test_a_bomb_of_aliases_is_refused() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    assert "line 2" in refused("\n".join(levels))


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object:os.system ls",
        "!!python/object/apply:os.system [ls]",
        "!<tag:yaml.org,2002:python/name:os.system> x",
        "%TAG ! tag:yaml.org,2002:python/\n--- !name:os.system x",
        "!!binary abc=",
        "!!set {a, b}",
        "!!omap [a: 1]",
        "!!timestamp 2020-01-01",
        "!!timestamp x",  # these four make SafeLoader raise AttributeError, KeyError, TypeError
        "!!bool x",
        "!!int [1]",
        "!!map [a]",
        "!!str 1",
        "! x",
        "a: [{b: !x 1}]",
        "!!str a: 1",
    ],
)
def test_every_tag_is_refused(text: str) -> None:
    assert "is not allowed" in refused(text)


@pytest.mark.parametrize("key", ["1", "null", "true", "2e-4", "[a]", "? {a: 1}\n", "? [1]\n"])
def test_a_key_that_is_not_text_is_refused(key: str) -> None:
    assert "text" in refused(f"{key}: 1")


def test_a_quoted_number_is_a_key() -> None:
    assert parse("'1': 2") == {"1": 2}


@pytest.mark.parametrize(
    "text",
    [
        "[" * 10_000,
        "[" * 10_000 + "]" * 10_000,
        "{a: " * 10_000,
        "{? " * 10_000,
        "- " * 10_000 + "a",
        "? " * 10_000,
        "\n".join(" " * depth + "a:" for depth in range(500)),
    ],
    ids=["open lists", "lists", "mappings", "keys", "block lists", "block keys", "block mappings"],
)
def test_deep_nesting_is_refused(text: str) -> None:
    assert "nested more than 32" in refused(text)


def test_nesting_that_people_write_is_accepted() -> None:
    assert parse("[" * 20 + "]" * 20) is not None


@pytest.mark.parametrize("number", ["9" * 500, "-" + "9" * 5000, "9" * 100_000])
def test_an_endless_integer_is_refused(number: str) -> None:
    assert "too long" in refused(f"a: {number}")


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 400 + ".0", "1e" + "9" * 5000])
def test_a_number_beyond_a_float_is_refused_and_not_infinite(number: str) -> None:
    assert "too large" in refused(f"a: {number}")


def test_a_second_document_is_refused() -> None:
    assert "line 2" in refused("a: 1\n---\nb: 2")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: \x00", 2),
        ("a: 1\n\nb: '\x07'", 3),
        ('a: 1\nb: "\\UFFFFFFFF"', 2),
        ('a: 1\nb: "\\uD800"', 2),
        ('"\\uDFFF": 1', 1),
    ],
)
def test_what_is_no_character_is_refused_with_its_line(text: str, line: int) -> None:
    assert f"line {line}" in refused(text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("a:\n\tb: 1", "tab"),
        ("a: b: c", "quotes"),
        ("a: 'x", "unexpected end"),
        ("[1, 2", "line 1"),
        ("a: 1\n b: 2", "line 2"),
    ],
)
def test_bad_syntax_says_what_and_where(text: str, hint: str) -> None:
    assert hint in refused(text)


def write(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "a.yaml"
    path.write_bytes(data)
    return path


def test_a_file_is_read(tmp_path: Path) -> None:
    assert load_yaml(write(tmp_path, "a: é".encode())) == {"a": "é"}


def test_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    assert load_yaml(write(tmp_path, b"\xef\xbb\xbfa: 1")) == {"a": 1}


def test_an_empty_file_is_null(tmp_path: Path) -> None:
    assert load_yaml(write(tmp_path, b"# nothing\n")) is None


def test_an_error_in_a_file_names_the_file_and_the_line(tmp_path: Path) -> None:
    path = write(tmp_path, b"a: 1\na: 2\n")
    with pytest.raises(ConfigError) as caught:
        load_yaml(path)
    assert str(caught.value).startswith(f"{path}, line 2")


def test_bytes_that_are_not_utf_8_are_refused_with_their_line(tmp_path: Path) -> None:
    path = write(tmp_path, b"a: 1\nb: \xff")
    with pytest.raises(ConfigError, match="line 2: byte 8 is not UTF-8"):
        load_yaml(path)


def test_a_large_file_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = write(tmp_path, b"9" * 10_000_000)
    with pytest.raises(ConfigError, match="larger than 256 KiB"):
        load_yaml(path)


def test_a_file_of_the_largest_size_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, b"a: " + b"x" * (MAX_BYTES - 3))
    assert len(load_yaml(path)["a"]) == MAX_BYTES - 3


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder"):
        load_yaml(tmp_path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_yaml(tmp_path / "missing.yaml")


def test_an_unreadable_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = write(tmp_path, b"a: 1")
    monkeypatch.setattr(Path, "open", denied)  # root, as in a container, may read everything
    with pytest.raises(ConfigError, match=r"a\.yaml: Permission denied"):
        load_yaml(path)


TRICKY = st.sampled_from(list("-[]{}?:&*!|>'\"%@`#,\n\t ~=<.\\ux019eE_+é\x85\u2028\ufeff\x00"))


@settings(max_examples=150, deadline=2000)
@given(st.text(max_size=60) | st.text(TRICKY, max_size=40))
def test_any_text_is_read_or_refused_with_a_config_error(text: str) -> None:
    try:
        parse(text)
    except ConfigError as error:
        message = str(error)
    else:
        return
    assert message.startswith("a.yaml, line ")


@settings(max_examples=75, deadline=2000)
@given(data=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_with_a_config_error(
    data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = write(tmp_path_factory.getbasetemp(), data)
    try:
        load_yaml(path)
    except ConfigError as error:
        message = str(error)
    else:
        return
    assert message.startswith(f"{path}, line ")


LOOKS_LIKE_SOMETHING_ELSE = [
    "2e-4",
    "1e3",
    "1_000",
    "1_0.5",
    "010",
    "0x1F",
    "1:30",
    "on",
    "yes",
    "null",
    "True",
    "~",
    "",
    ".nan",
    "-.inf",
    "2020-01-01",
    "<<",
    "=",
    "- a",
    "a: b",
    "# no comment",
    "*alias",
    "!tag",
    " leading",
    "trailing ",
    "two\nlines",
    "tab\there",
    "\x85",
    "\u2028",
    "\ufeff",
    "\x07",
]


@pytest.mark.parametrize("text", LOOKS_LIKE_SOMETHING_ELSE)
def test_text_that_looks_like_something_else_is_written_so_that_it_comes_back(text: str) -> None:
    data = {"root": text, "list": [text], text: 1}
    assert parse(dump_yaml(data)) == data


@pytest.mark.parametrize("text", ["2e-4", "on", "1_000", "null"])
def test_other_readers_of_yaml_get_the_same_text(text: str) -> None:
    assert yaml.safe_load(dump_yaml([text])) == [text]


def test_an_object_that_occurs_twice_is_written_twice() -> None:
    betas = [0.5, 0.999]
    data = {"generator": betas, "discriminator": betas}
    assert parse(dump_yaml(data)) == data


def test_keys_keep_their_order() -> None:
    assert list(parse(dump_yaml({"b": 1, "a": 2}))) == ["b", "a"]


CHARACTERS = st.characters(exclude_categories=["Cs"])
WORDS = st.text(CHARACTERS, max_size=20) | st.text(st.sampled_from("0123456789_.eE+-"), max_size=6)
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False)
    | WORDS
    | st.sampled_from(LOOKS_LIKE_SOMETHING_ELSE),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(CHARACTERS, max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=2000)
@given(PLAIN)
def test_plain_data_comes_back_as_it_was(data: object) -> None:
    found = parse(dump_yaml(data))
    assert found == data
    assert repr(found) == repr(data)  # 1, 1.0 and True are equal

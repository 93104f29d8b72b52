"""YAML as people expect it, without its dangerous features.

Rejects duplicate keys, aliases, tags, deep nesting and very large files. Plain words follow the
core schema of YAML 1.2 (``2e-4`` is a number, ``on`` is text), with two differences: digits may be
grouped as in Python (``10_000``), and there are no hexadecimal or octal numbers.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import yaml

from aigc_core.errors import ConfigError, reason

MAX_BYTES = 1 << 18
MAX_DEPTH = 32
MAX_VALUES = 10_000  # PyYAML takes a few tenths of a second for these
MAX_KEY_LENGTH = 1024  # YAML's limit for a key followed by its colon
_MAX_DIGITS = 400  # beyond any float64; keeps int() far from quadratic time and its own limit

_STR = "tag:yaml.org,2002:str"
_DIGITS = r"\d+(?:_\d+)*"
_PLAIN_WORDS = [  # tag, pattern of its plain scalars, their possible first characters
    ("tag:yaml.org,2002:bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("tag:yaml.org,2002:null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:int", rf"^[-+]?{_DIGITS}$", "-+0123456789"),
    (
        "tag:yaml.org,2002:float",
        rf"^[-+]?(?:(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][-+]?\d+)?"
        r"|\.(?:inf|Inf|INF))$|^\.(?:nan|NaN|NAN)$",
        "-+0123456789.",
    ),
]


class _Loader(yaml.SafeLoader):
    """SafeLoader without aliases, tags, duplicate keys, merge keys and YAML 1.1's plain words."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    depth = 0
    values = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _error(event, f"the alias *{_short(event.anchor)} is not allowed; write it out")
        if event.tag is not None:
            raise _error(event, f"the tag {_short(event.tag)} is not allowed; write a plain value")
        if self.depth >= MAX_DEPTH:
            raise _error(event, f"nested more than {MAX_DEPTH} levels deep")
        if self.values >= MAX_VALUES:
            raise _error(event, f"more than {MAX_VALUES:,} values and keys")
        self.values += 1
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _error(key_node, "a key must be text, not a list or a mapping")
            key = key_node.value
            if len(key) > MAX_KEY_LENGTH:
                raise _error(key_node, f"a key of {len(key)} characters is too long")
            if key_node.tag != _STR:
                raise _error(key_node, f"the key '{_short(key)}' is not text; put it in quotes")
            if key in seen:
                raise _error(key_node, f"the key '{_short(key)}' is there twice")
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def _construct_str(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    text: str = node.value
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise _error(node, "half of a surrogate pair is not a character")
    return text


def _construct_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = node.value.replace("_", "")
    if len(text) > _MAX_DIGITS:
        raise _error(node, f"a number of {len(text)} digits is too long")
    return int(text)


def _construct_float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    text = node.value.replace("_", "").lower()
    if text.endswith(("inf", "nan")):
        return float(text.replace(".", ""))
    number = float(text)
    if math.isinf(number):
        raise _error(node, f"{_short(text)} is too large for a number")
    return number


for _tag, _pattern, _first in _PLAIN_WORDS:
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern, re.ASCII), list(_first))
_Loader.add_constructor(_STR, _construct_str)
_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _construct_float)


class _Dumper(yaml.SafeDumper):
    """SafeDumper whose output means the same to this loader and to any YAML 1.1 reader.

    Plain SafeDumper does not quote strings such as ``2e-4``, writes an object that occurs twice
    as an alias, and writes Unicode line breaks so that they are read back as spaces.
    """

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        escaped = any(character in data for character in "\x85\u2028\u2029")
        return self.represent_scalar(_STR, data, style='"' if escaped else None)


for _tag, _pattern, _first in _PLAIN_WORDS:
    _Dumper.add_implicit_resolver(_tag, re.compile(_pattern, re.ASCII), list(_first))


_Dumper.add_representer(str, _Dumper.represent_str)


def _short(text: Any) -> str:
    text = str(text)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _error(where: Any, problem: str) -> yaml.MarkedYAMLError:
    """Create an error located at a node or an event."""
    return yaml.MarkedYAMLError(problem=problem, problem_mark=where.start_mark)


def parse_yaml(text: str, source: str) -> Any:
    """Parse YAML text.

    Args:
        text: the document.
        source: what to call it in error messages, such as a file's path.

    Raises:
        ConfigError: not YAML, or YAML that is not accepted here; the message names the line.
    """
    loader = None
    try:
        loader = _Loader(text)
        return loader.get_single_data()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(
            f"{source}, line {line}: the character {chr(error.character)!r} is not allowed in YAML."
        ) from None
    except yaml.MarkedYAMLError as error:
        mark: Any = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{source}{where}: {_in_words(error)}.") from None
    except (ValueError, OverflowError):  # PyYAML does not check an escape such as "\UFFFFFFFF"
        line = loader.get_mark().line + 1 if loader else 1
        raise ConfigError(f"{source}, line {line}: an escape names no character.") from None
    finally:
        if loader is not None:
            loader.dispose()


def _in_words(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "not valid YAML"
    if problem.startswith("but "):  # the second half of a sentence
        return f"{error.context}, {problem}"
    if problem.startswith("found character '\\t'"):
        return "a tab cannot start a line or a value; use spaces"
    if problem == "mapping values are not allowed here":
        return "a second ': ' in one line; put the value in quotes, or begin a new line"
    return problem


def load_yaml(path: Path) -> Any:
    """Read a YAML file of at most 256 KiB.

    Raises:
        ConfigError: missing, unreadable, too large, not UTF-8, or not accepted (``parse_yaml``).
    """
    try:
        if path.is_dir():
            raise ConfigError(f"{path} is a folder, not a YAML file.")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"Cannot read {path}: {reason(error)}.") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path} is larger than {MAX_BYTES // 1024} KiB; is it the right file?")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}, line {line}: byte {error.start} is not UTF-8.") from None
    return parse_yaml(text, str(path))


def dump_yaml(data: Any) -> str:
    """Return block-style YAML text with keys in the given order.

    ``parse_yaml`` reads back the same data: strings that look like numbers or YAML keywords are
    quoted, and aliases are never written.
    """
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)

"""YAML as people expect it, and nothing that can bite.

Rejects duplicate keys, aliases, tags, deep nesting and very large files; reads ``2e-4`` as a
number and ``on`` as text (the core schema of YAML 1.2).
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any

import yaml

from aigc_core.errors import ConfigError, StorageError

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
_MAX_DIGITS = 400  # beyond any float64; keeps int() far from its quadratic and its own limit


class _Loader(yaml.SafeLoader):
    """SafeLoader without aliases, duplicate keys, merge keys, dates or YAML 1.1 booleans."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.events.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise _error(event, f"the alias *{event.anchor} is not allowed; write the value out")
        if self.depth >= MAX_DEPTH:
            raise _error(
                self.peek_event(),  # type: ignore[no-untyped-call]
                f"nested more than {MAX_DEPTH} levels deep",
            )
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != _STR:
                raise _error(key_node, f"the key {key!r} is not text; put it in quotes")
            if key in seen:
                raise _error(key_node, f"the key '{key}' is there twice")
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


_STR = "tag:yaml.org,2002:str"
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile(r"^(?:~|null|)$"), ["~", "n", ""]
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?\d[\d_]*$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$|^[-+]?\.(?:inf|nan)$"),
    list("-+0123456789."),
)


def _construct_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = node.value.replace("_", "")
    if len(text) > _MAX_DIGITS:
        raise _error(node, f"a number of {len(text)} digits is too long")
    return int(text)


def _construct_float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    return float(node.value.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _construct_float)


def _error(where: Any, problem: str) -> yaml.MarkedYAMLError:
    """Make an error at a node or an event."""
    return yaml.MarkedYAMLError(problem=problem, problem_mark=where.start_mark)


def parse_yaml(text: str, source: str) -> Any:
    """Parse YAML text.

    Args:
        text: the document.
        source: what to call it in an error message, such as a file's path.

    Raises:
        ConfigError: not YAML, or YAML that is not accepted here; names the line.
    """
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark: Any = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = error.problem or error.context or "not valid YAML"
        raise ConfigError(f"{source}{where}: {problem}.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{source}: not valid YAML: {str(error).splitlines()[0]}.") from None


def load_yaml(path: Path) -> Any:
    """Read a YAML file of at most 1 MiB.

    Raises:
        ConfigError: missing, unreadable, too large, not UTF-8, or not accepted (``parse_yaml``).
    """
    try:
        if path.is_dir():
            raise ConfigError(f"{path} is a folder, not a YAML file.")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"Cannot read {path}: {error.strerror}.") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path} is larger than {MAX_BYTES // 1024} KiB; is it the right file?")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8.") from None
    return parse_yaml(text, str(path))


def dump_yaml(data: Any) -> str:
    """Return block-style YAML text with keys in their given order."""
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)


def write_text_atomically(path: Path, text: str) -> None:
    """Write a file that is either the old one or the whole new one, and on disk on return.

    Raises:
        StorageError: it could not be written; the old file stands.
    """
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise StorageError(f"Could not write {path}: {error.strerror}.") from error

"""What can go wrong, by who can mend it; every message is a sentence to a user.

The exit code of the command line is part of the error: 2 for what the user can mend (a name, a
value, a file), 1 for what failed while running, 130 for an interruption.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError


class AigcError(Exception):
    """Base of all errors that the command line prints without a traceback."""

    exit_code = 1


class UserError(AigcError, ValueError):
    """Bad usage or bad input. The message says what, where, and what would fix it."""

    exit_code = 2


class ConfigError(UserError):
    """A configuration key or value that is not valid."""


class PluginError(UserError):
    """A plugin that is missing, broken, or claims what another plugin has."""


class DataError(UserError):
    """A data set that cannot be found, read, downloaded or trusted."""


class RunError(UserError):
    """A run folder that is not one, is taken, or cannot be continued."""


class TrainingError(AigcError):
    """A training that cannot go on, such as one whose losses stay non-finite."""


class StorageError(AigcError):
    """A file of a run that could not be written, such as on a full disk."""


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """Return the valid name that was probably meant, whatever its case, or None."""
    names = {valid_name.lower(): valid_name for valid_name in sorted(valid, reverse=True)}
    name = name.lower()
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if not close:  # a last part alone is often what was typed: 'dcgan' for 'image/dcgan'
        close = [n for n in sorted(names) if name and name in (*n.split("/"), *n.split("."))]
    return names[close[0]] if close else None


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the valid name nearest to ``name``, else what is valid.

    The result starts with a space, so that it can be appended to a sentence.
    """
    names = sorted(valid)
    close = nearest(name, names)
    if close is not None:
        return f" Did you mean '{close}'?"
    if not names:
        return " There are none."
    shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    return f" Valid: {shown}."


def shown(value: Any) -> str:
    """Return a value as it would be typed in YAML, cut to 60 characters, for a message."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    plain = isinstance(value, str) and value.isprintable() and value.strip() == value != ""
    text = value if plain else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


@dataclass(frozen=True)
class Complaint:
    """What pydantic found wrong first, in words for someone who does not know pydantic."""

    kind: str
    """Pydantic's name for it, such as ``missing`` or ``extra_forbidden``."""
    path: tuple[str | int, ...]
    """Keys and list positions down to the value; empty when the whole is inconsistent."""
    value: Any
    problem: str

    @property
    def key(self) -> str:
        """The path as a user writes it: ``generator.betas[0]``."""
        parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path]
        return "".join(parts).removeprefix(".")


def first_complaint(error: ValidationError, values: Any) -> Complaint:
    """Explain a validation's first error: an unknown key before all others, which it may cause.

    Args:
        error: what ``model_validate`` raised.
        values: what it was given. Parts of pydantic's paths that are not in there, such as the
            names of a union's members, are left out; so are they from ``Complaint.path``.
    """
    errors = sorted(
        error.errors(include_url=False, include_context=False),
        key=lambda e: e["type"] != "extra_forbidden",
    )
    paths = [_typed_path(e["loc"], values, e["type"]) for e in errors]
    top = paths[0]
    within = [i for i, path in enumerate(paths) if path[: len(top)] == top]
    deepest = max(within, key=lambda i: len(paths[i]))  # of a union's members, the one that fits
    first, path = errors[deepest], paths[deepest]
    problems = []
    for other, where in zip(errors, paths, strict=True):  # a union has one error per member
        if other is first or (where == path and other["type"] != "missing"):
            problems.append(_in_words(other["type"], other["msg"], other["input"]))
    problem = ", or ".join(dict.fromkeys(problems))
    return Complaint(first["type"], path, first["input"], problem)


def _typed_path(loc: tuple[str | int, ...], values: Any, kind: str) -> tuple[str | int, ...]:
    path: list[str | int] = []
    here = values
    for index, part in enumerate(loc):
        in_list = isinstance(here, list | tuple) and isinstance(part, int) and part < len(here)
        if in_list or (isinstance(here, Mapping) and part in here):
            here = here[part]
        elif index > 0 and not (kind == "missing" and index == len(loc) - 1):
            continue
        path.append(part)
    return tuple(path)


def _in_words(kind: str, message: str, value: Any) -> str:
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return "it must hold keys of its own"
    words = message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if words.startswith("Input should"):
        words = f"it{words.removeprefix('Input')}"
    if kind == "string_type" and isinstance(value, bool | int | float):
        words += "; put quotes around it (on a command line: 'key=\"1\"')"
    elif value == "None":
        words += "; write null for none"
    return words

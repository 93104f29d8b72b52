"""Rewords pydantic's validation errors for users who do not know pydantic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError


@dataclass(frozen=True)
class Complaint:
    """One validation error, worded for users who do not know pydantic."""

    kind: str
    """Pydantic's error type, such as ``missing`` or ``extra_forbidden``."""
    path: tuple[str | int, ...]
    """Keys and list indices down to the value; empty if the error concerns the whole."""
    value: Any
    problem: str

    @property
    def key(self) -> str:
        """The path as a user would write it: ``generator.betas[0]``."""
        parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path]
        return "".join(parts).removeprefix(".")


def first_complaint(error: ValidationError, values: Any) -> Complaint:
    """Return a validation's first error; unknown keys come first, as they may cause the others.

    Args:
        error: what ``model_validate`` raised.
        values: what was validated. Parts of pydantic's paths that do not occur in it, such as the
            names of a union's members, are left out of ``Complaint.path``.
    """
    errors = sorted(
        error.errors(include_url=False, include_context=False),
        key=lambda e: e["type"] != "extra_forbidden",
    )
    paths = [_typed_path(e["loc"], values, e["type"]) for e in errors]
    top = paths[0]
    within = [i for i, path in enumerate(paths) if path[: len(top)] == top]
    deepest = max(within, key=lambda i: len(paths[i]))  # the union member that matches best
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
    if kind in ("tuple_type", "list_type"):
        return "it should be a list, such as [a, b]"
    words = message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if words.startswith("Input should"):
        words = f"it{words.removeprefix('Input')}"
    if kind == "string_type" and isinstance(value, bool | int | float):
        words += "; put quotes around it (on a command line: 'key=\"1\"')"
    elif value == "None":
        words += "; write null for none"
    return words

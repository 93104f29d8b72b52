"""Wording that the messages of all datasets share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aigc_core.errors import DataError, did_you_mean


def check_split(name: str, split: str, splits: Iterable[str]) -> None:
    """Raise ``DataError`` unless ``split`` is one of ``splits``; the message names the nearest."""
    valid = list(splits)
    if split not in valid:
        raise DataError(f"The dataset '{name}' has no split '{split}'.{did_you_mean(split, valid)}")


def list_some(items: Sequence[str], limit: int = 10) -> str:
    """Return the items, separated by commas; beyond ``limit``, only how many more there are.

    Always on one line, whatever is in them: they may be names of somebody's files.
    """
    text = ", ".join(items[:limit])
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return shown if len(items) <= limit else f"{shown} and {len(items) - limit} more"

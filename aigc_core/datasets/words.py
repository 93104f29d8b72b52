"""What the messages of every dataset say in the same words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aigc_core.errors import DataError, did_you_mean


def check_split(name: str, split: str, splits: Iterable[str]) -> None:
    """Raise ``DataError`` unless ``split`` is one of the dataset's ``splits``; name the nearest."""
    valid = list(splits)
    if split not in valid:
        raise DataError(f"The dataset '{name}' has no split '{split}'.{did_you_mean(split, valid)}")


def list_some(items: Sequence[str], limit: int = 10) -> str:
    """Return the items in a row; of more than ``limit``, the first and how many more there are.

    On one line, whatever is in them: they may be names of somebody's files.
    """
    text = ", ".join(items[:limit])
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return shown if len(items) <= limit else f"{shown} and {len(items) - limit} more"

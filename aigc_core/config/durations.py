"""Spans of time as people write them: 90s, 30m, 1h30m, 2d."""

from __future__ import annotations

import re

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def seconds(text: str) -> float:
    """Return the seconds of a text such as ``"1h30m"``, ``"45s"`` or ``"90"``.

    Raises:
        ValueError: it is none.
    """
    stripped = text.replace(" ", "").lower()
    if re.fullmatch(r"\d+(\.\d+)?", stripped):
        return float(stripped)
    if not re.fullmatch(r"(\d+(\.\d+)?[dhms])+", stripped):
        raise ValueError("it should be a time such as 45s, 30m, 2h, 1d or 1h30m")
    pieces = re.findall(r"(\d+(?:\.\d+)?)([dhms])", stripped)
    return sum(float(number) * _UNITS[unit] for number, unit in pieces)


def duration(span: float) -> str:
    """Return seconds in the form that ``seconds`` reads, such as ``"1h30m"``."""
    left, pieces = round(span), []
    for unit, size in _UNITS.items():
        count, left = divmod(left, size)
        if count:
            pieces.append(f"{count}{unit}")
    return "".join(pieces) or f"{span:g}s"

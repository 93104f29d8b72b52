"""What a launcher of several processes, such as ``torchrun``, says by environment variables."""

from __future__ import annotations

import os


def started_processes() -> int:
    """Return how many processes a launcher started together with this one; 1 without any."""
    return max(1, _number("WORLD_SIZE"))


def is_first() -> bool:
    """Whether this is the process that speaks for all."""
    return started_processes() == 1 or _number("RANK") == 0


def processes_here() -> int:
    """Return how many of them are on this machine."""
    return max(1, _number("LOCAL_WORLD_SIZE")) if started_processes() > 1 else 1


def _number(name: str) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() and text.isascii() else 0

"""Starts the process in which plugins are tried out, if need be before anything else is imported.

Both take as long to import what they need, so they had better do it at the same time.
"""

from __future__ import annotations

import subprocess
import sys

COMMAND = [sys.executable, "-P", "-m", "aigc_core.plugins.probe"]
"""Reads what to do from its standard input, once it has imported what it needs for that."""
_waiting: list[subprocess.Popen[str]] = []


def start_early() -> None:
    """Start a child for the next ``take``; it ends with this process if there is none."""
    _waiting.append(_start())


def take() -> subprocess.Popen[str]:
    """Return a child that waits for its input: the one that was started early, or a new one."""
    return _waiting.pop() if _waiting else _start()


def _start() -> subprocess.Popen[str]:
    return subprocess.Popen(
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
    )

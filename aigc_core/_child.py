"""Starts the child process that tries out plugins, early enough to overlap with our own imports.

Both processes spend about as long on imports, so they do it in parallel.
"""

from __future__ import annotations

import subprocess
import sys

COMMAND = [sys.executable, "-P", "-m", "aigc_core.plugins.probe"]
"""Reads its instructions from standard input once its imports are done."""
_waiting: list[subprocess.Popen[str]] = []


def start_early() -> None:
    """Start a child for the next ``take``; if it is never taken, it ends with this process."""
    _waiting.append(_start())


def take() -> subprocess.Popen[str]:
    """Return a child that is waiting for input: the one started early, or a new one."""
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

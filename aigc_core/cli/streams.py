"""Standard streams that may be closed, full or gone: output is never a reason to stop."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import Any, TextIO


class Forgiving:
    """Standard error, looked up at each write; what cannot be written is dropped.

    A terminal that was closed, a pipe that nobody reads any more (``aigc train … 2>&1 | head``), or
    a log file on a full disk must not end a training, whose results are elsewhere.
    """

    def write(self, text: str) -> int:
        """Write what can be written."""
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed; or None
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, if that works."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        try:
            return sys.stderr.isatty()
        except (ValueError, AttributeError):
            return False

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)


def open_missing_streams() -> None:
    """Open the null device for closed standard streams, before any other file is opened.

    Otherwise the next file opened gets standard error's descriptor, and a library's messages end
    up in, say, a checkpoint.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def flush_output() -> OSError | None:
    """Flush standard output and error; return why output failed, unless nobody reads it.

    What could not be written is dropped; otherwise Python would complain about it at exit.
    """
    problem = None
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError) as error:
            if isinstance(error, OSError):
                _drop(stream)
                if stream is sys.stdout and error.errno != errno.EPIPE:
                    problem = error
    return problem


def _drop(stream: TextIO) -> None:
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        stream.flush()

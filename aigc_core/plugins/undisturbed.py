"""Keeping what a plugin does while it loads from changing the command that loads it."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator

_SIGNALS = [signal.SIGINT, signal.SIGTERM]


@contextlib.contextmanager
def undisturbed() -> Iterator[list[str]]:
    """Run a plugin's code inside: what it prints goes to standard error, what it sets is undone.

    Undone are the current folder, the handlers of Ctrl-C and SIGTERM, and what switches logging
    off.

    Yields:
        A list that, at the end, holds what had to be undone.
    """
    changed: list[str] = []
    folder = _current_folder()
    disabled, handlers = logging.root.manager.disable, list(logging.getLogger("aigc").handlers)
    in_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in _SIGNALS if in_main}
    try:
        with contextlib.redirect_stdout(sys.stderr):  # standard output is the command's answer
            yield changed
    finally:
        if folder is not None and _current_folder() != folder:
            changed.append("the current folder")
            with contextlib.suppress(OSError):
                os.chdir(folder)
        for number, handler in before.items():
            if signal.getsignal(number) is not handler:
                changed.append(f"the handler of {signal.Signals(number).name}")
                if handler is not None:  # one that was not set from Python cannot be
                    signal.signal(number, handler)
        if logging.root.manager.disable != disabled:
            changed.append("what logging leaves out")
            logging.disable(disabled)
        logging.getLogger("aigc").handlers[:] = handlers


def _current_folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return None

"""``log.txt``: details that users need not see but authors may want, such as tracebacks."""

from __future__ import annotations

import contextlib
import datetime
import os
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aigc_core.runs.folder import Run

LOG = "log.txt"


def log_traceback(run: Run, error: BaseException) -> None:
    """Append an exception's traceback to a run's log; do nothing if it cannot be written."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    text = f"{now}\n{''.join(traceback.format_exception(error))}\n"
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    with contextlib.suppress(OSError):
        handle = os.open(run.path / LOG, flags | getattr(os, "O_NONBLOCK", 0), 0o666)
        with os.fdopen(handle, "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)

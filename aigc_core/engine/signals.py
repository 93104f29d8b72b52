"""Signals as requests, handled between steps: to stop, or to write a checkpoint."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

_STOP = ("SIGINT", "SIGTERM", "SIGHUP")
"""Ctrl-C, a job being ended, and a dropped connection."""
_STOP_UNLESS_USED = ("SIGQUIT", "SIGXCPU", "SIGALRM")
"""Ctrl-\\, and time limits: left alone if the calling program handles them itself."""
_SAVE = "SIGUSR1"
"""Sent by job schedulers before a limit; a checkpoint is written, and training continues."""


class StopRequest:
    """While entered, the first signal sets ``received``; a second SIGINT interrupts at once.

    Handlers only record the signal; the engine acts on it between steps. Signals that are ignored,
    as under nohup, stay ignored. Signals that a platform lacks are left out.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.save = False
        """Whether a checkpoint is requested; whoever writes it resets this."""
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for name in (*_STOP, *_STOP_UNLESS_USED, _SAVE):
                number = getattr(signal, name, None)
                if number is None:
                    continue
                before = signal.getsignal(number)
                free = before is signal.SIG_DFL or name in _STOP
                if free and before is not signal.SIG_IGN:
                    handler = self._save if name == _SAVE else self._stop
                    self._previous[number] = signal.signal(number, handler)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = number

    def _save(self, number: int, frame: FrameType | None) -> None:
        self.save = True

"""Says how far a long preparation is; a short one says nothing."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger("aigc")

FIRST_S = 1.5
"""Seconds of silence before the first line."""
BETWEEN_S = 10.0
"""Seconds between lines."""


class Progress:
    """A context that logs lines such as ``Reading: 1,200 of 9,000 (13 %) files, 800/s, 10 s left``.

    A thread of its own writes them, so that they come however long one item takes.
    """

    def __init__(
        self,
        what: str,
        unit: str = "files",
        total: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare to count.

        Args:
            what: is being done: ``Reading images``.
            unit: what is counted, in the plural.
            total: how many there are, if that is known.
            clock: gives seconds.
        """
        self._what, self._unit, self.total = what, unit, total
        self._clock, self._started = clock, clock()
        self._count = self._before = 0
        self._said = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="aigc-progress", daemon=True)

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._said and kind is None:
            logger.info("%s", self.line())

    def skip(self, count: int) -> None:
        """Count what an earlier process did: it says nothing about the speed."""
        self._before += count

    def add(self, count: int = 1) -> None:
        """Count what was done; called by one thread."""
        self._count += count

    def line(self) -> str:
        """Return how far it is, in one line."""
        done, seconds = self._before + self._count, self._clock() - self._started
        rate = self._count / seconds if seconds > 0 else 0.0
        of = f" of {self.total:,} ({100 * done / self.total:.0f} %)" if self.total else ""
        text = f"{self._what}: {done:,}{of} {self._unit}, {rate:,.0f}/s"
        if not self.total or not rate:
            return text
        if done >= self.total:
            return f"{text}, {_span(seconds)}"
        return f"{text}, {_span((self.total - done) / rate)} left"

    def _run(self) -> None:
        wait = FIRST_S
        while not self._ended.wait(wait):
            self._said, wait = True, BETWEEN_S
            logger.info("%s", self.line())


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes} min"
        if hours
        else f"{minutes} min {rest} s"
        if minutes
        else f"{rest} s"
    )

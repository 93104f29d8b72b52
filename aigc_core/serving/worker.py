"""One computing thread: requests take turns in it, step by step, and can be stopped in between."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

from aigc_core.errors import AigcError, raised_at
from aigc_core.serving.limits import Limits

logger = logging.getLogger("aigc")
Work = Iterator[Any]
"""What a request needs: each ``next`` is one step, and gives a piece of the answer."""


class QueueFullError(AigcError):
    """No further request can wait."""

    def __init__(self, waiting: int, retry_after_s: int) -> None:
        super().__init__(f"{waiting:,} requests are waiting already. Try again in a while.")
        self.retry_after_s = retry_after_s


class CancelledError(AigcError):
    """Whoever asked does not want the answer any more."""


class TimeLimitError(AigcError):
    """A request took too long."""


class ClosedError(AigcError):
    """The worker ends, or has ended."""


@runtime_checkable
class Batched(Protocol):
    """Work whose steps can be computed together with those of other work of the same batcher."""

    batcher: Batcher


class Batcher(Protocol):
    """Computes one step for several at once."""

    def compute(self, works: list[Any]) -> None:
        """Compute what the next step of some or all of these needs; the first is among them."""


class Task:
    """A request that waits, is worked on, or has ended."""

    def __init__(
        self,
        worker: Worker,
        work: Work,
        on_piece: Callable[[Any], None],
        on_end: Callable[[BaseException | None], None],
    ) -> None:
        self.work = work
        self.is_cancelled = False
        self.has_ended = False
        self.started_s: float | None = None
        """When its first step began, by the worker's clock; None while it waits."""
        self._worker = worker
        self.on_piece, self.on_end = on_piece, on_end

    def cancel(self) -> None:
        """Stop: at once if it waits, else before the next step. May be called at any time."""
        self._worker.cancel(self)


class Worker:
    """A thread that computes for one device.

    Every active request gets a step in turn, so that a long one does not hold up a short one.
    """

    def __init__(
        self, name: str, limits: Limits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Prepare; ``start`` begins.

        Args:
            name: of the thread.
            limits: how many may wait, how many take turns, and how long one may take.
            clock: seconds that pass.
        """
        self._limits, self._clock = limits, clock
        self._changed = threading.Condition()
        self._waiting: deque[Task] = deque()
        self._active: deque[Task] = deque()
        self._computing: list[Task] = []  # whose step is computed now
        self._closed = False
        self._mean_s = 1.0  # how long a request is worked on
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    @property
    def active(self) -> int:
        """How many requests are worked on."""
        return len(self._active)

    @property
    def is_open(self) -> bool:
        """Whether requests are taken."""
        return not self._closed

    def submit(
        self,
        work: Work,
        on_piece: Callable[[Any], None],
        on_end: Callable[[BaseException | None], None],
    ) -> Task:
        """Take a request. The callbacks are called in the computing thread and must be quick.

        Args:
            work: its steps.
            on_piece: gets each piece of the answer; if it raises, the request is cancelled.
            on_end: gets None at the end, or else why there is no more: what a step raised, or
                ``CancelledError``, ``TimeLimitError`` or ``ClosedError``. It is called once.

        Raises:
            QueueFullError: too many wait.
            ClosedError: the worker ends.
        """
        task = Task(self, work, on_piece, on_end)
        with self._changed:
            if self._closed:
                raise ClosedError("The server is shutting down.")
            room = self._limits.max_active - len(self._active)
            if len(self._waiting) >= self._limits.max_queue + max(room, 0):
                ahead = len(self._waiting) / self._limits.max_active
                raise QueueFullError(
                    len(self._waiting), max(1, min(60, round(ahead * self._mean_s)))
                )
            self._waiting.append(task)
            self._changed.notify()
        return task

    def cancel(self, task: Task) -> None:
        """See ``Task.cancel``."""
        with self._changed:
            task.is_cancelled = True
            waits = task in self._waiting
            if waits:
                self._waiting.remove(task)
        if waits:
            self._end(task, CancelledError("The request was cancelled."))

    def close(self, timeout_s: float | None = None) -> None:
        """End all requests, and the thread once the step that it computes has stopped."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def check(self) -> None:
        """Raise if nobody waits for what is computed now. For long steps, to call within them.

        Raises:
            CancelledError: nobody wants it any more, or all have waited for too long.
        """
        if threading.current_thread() is not self._thread:
            return
        if all(self._why_to_end(task) for task in self._computing):
            raise CancelledError("Nobody waits for this any more.")

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._waiting or self._active or self._closed):
                    self._changed.wait()
                if self._closed:
                    break
                while self._waiting and len(self._active) < self._limits.max_active:
                    task = self._waiting.popleft()
                    task.started_s = self._clock()
                    self._active.append(task)
            try:
                self._turn()
            except Exception as error:  # of this file; the thread must live
                logger.error("A request failed: %s", raised_at(error))
                for task in list(self._active)[:1]:
                    self._end(task, error)
        with self._changed:
            left = [*self._active, *self._waiting]
            self._waiting.clear()
        for task in left:
            self._end(task, ClosedError("The server is shutting down."))

    def _turn(self) -> None:
        """Give the first of the active requests a step, and those that can share it."""
        first = self._active[0]
        if (why := self._why_to_end(first)) is not None:
            self._end(first, why)
            return
        sharing = [first]
        if isinstance(first.work, Batched):
            batcher = first.work.batcher
            sharing = [
                task
                for task in self._active
                if isinstance(task.work, Batched)
                and task.work.batcher is batcher
                and self._why_to_end(task) is None
            ]
            self._share(batcher, sharing)
        for task in sharing:
            if not task.has_ended:
                self._step(task)

    def _share(self, batcher: Batcher, tasks: list[Task]) -> None:
        self._computing = tasks
        try:
            batcher.compute([task.work for task in tasks])
        except Exception as error:
            if len(tasks) == 1:
                self._fail(tasks[0], error)
            else:  # find out whose fault it is
                for task in tasks:
                    self._share(batcher, [task])

    def _step(self, task: Task) -> None:
        self._computing = [task]
        try:
            piece = next(task.work)
        except StopIteration:
            self._end(task, None)
        except Exception as error:
            self._fail(task, error)
        else:
            with self._changed:
                if self._active[0] is task:
                    self._active.rotate(-1)
            try:
                if piece is not None:
                    task.on_piece(piece)
            except Exception as error:  # whoever listened is gone
                self._end(task, error)

    def _fail(self, task: Task, error: Exception) -> None:
        self._end(task, self._why_to_end(task) or error)

    def _why_to_end(self, task: Task) -> AigcError | None:
        if self._closed:
            return ClosedError("The server is shutting down.")
        if task.is_cancelled:
            return CancelledError("The request was cancelled.")
        limit = self._limits.max_seconds
        if task.started_s is not None and self._clock() - task.started_s > limit:
            return TimeLimitError(f"The request took longer than {limit:g} s. Ask for less.")
        return None

    def _end(self, task: Task, error: BaseException | None) -> None:
        with self._changed:
            if task.has_ended:
                return
            task.has_ended = True
            if task in self._active:
                self._active.remove(task)
            if task.started_s is not None and error is None:
                self._mean_s += 0.1 * (self._clock() - task.started_s - self._mean_s)
        close = getattr(task.work, "close", None)
        try:
            if close is not None:
                close()
            task.on_end(error)
        except Exception as failed:  # a listener that is gone
            logger.debug("The end of a request was not heard: %s", raised_at(failed))

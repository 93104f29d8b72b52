"""One thread, many requests: turns, queue, cancelling, limits, and whose error is whose."""

import threading
from collections.abc import Iterator

import pytest

from aigc_core.serving import (
    CancelledError,
    ClosedError,
    Limits,
    QueueFullError,
    TimeLimitError,
    Worker,
)

PATIENCE_S = 60
"""After which a test that hangs fails; nothing here depends on how fast anything is."""


class Listener:
    """Notes what it is told, in one order for several."""

    def __init__(self, log: list | None = None, name: str = "") -> None:
        self.pieces: list = []
        self.errors: list = []
        self.log, self.name = log if log is not None else [], name
        self.ended = threading.Event()

    def on_piece(self, piece) -> None:
        self.pieces.append(piece)
        self.log.append((self.name, piece))

    def on_end(self, error) -> None:
        self.errors.append(error)
        self.ended.set()

    def wait(self) -> "Listener":
        assert self.ended.wait(PATIENCE_S)
        return self

    @property
    def error(self):
        (error,) = self.wait().errors  # once, and never again
        return error


class Gate:
    """Work whose first step lasts until the gate opens."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def steps(self, count: int = 3) -> Iterator[int]:
        self.reached.set()
        assert self.opened.wait(PATIENCE_S)
        yield from range(count)


@pytest.fixture
def make_worker():
    made = []

    def make(clock=None, **limits) -> Worker:
        options = {} if clock is None else {"clock": clock}
        worker = Worker("test", Limits(**limits), **options)
        made.append(worker)
        worker.start()
        return worker

    yield make
    for worker in made:
        worker.close(PATIENCE_S)
        assert not worker._thread.is_alive()


def ask(worker: Worker, work, log=None, name=""):
    listener = Listener(log, name)
    return worker.submit(work, listener.on_piece, listener.on_end), listener


def test_pieces_come_in_order_and_the_end_once(make_worker) -> None:
    _, heard = ask(make_worker(), iter("abc"))
    assert heard.error is None
    assert heard.pieces == ["a", "b", "c"]


def test_requests_take_turns(make_worker) -> None:
    worker, gate, log = make_worker(), Gate(), []
    _, first = ask(worker, gate.steps(4), log, "a")
    gate.reached.wait(PATIENCE_S)
    _, second = ask(worker, iter(range(4)), log, "b")
    gate.opened.set()
    assert (first.error, second.error) == (None, None)
    assert [name for name, _ in log] == list("aabababb")  # b came during a's first step


def test_a_request_that_fails_ends_alone(make_worker) -> None:
    def fails():
        yield 1
        raise ValueError("no")

    worker = make_worker()
    (_, bad), (_, good) = ask(worker, fails()), ask(worker, iter([1, 2]))
    assert isinstance(bad.error, ValueError)
    assert good.error is None
    assert good.pieces == [1, 2]
    assert ask(worker, iter([3]))[1].error is None


def test_a_full_queue_refuses_and_says_when_to_come_back(make_worker) -> None:
    worker, gate = make_worker(max_active=1, max_queue=2), Gate()
    heard = [ask(worker, gate.steps())[1]]
    gate.reached.wait(PATIENCE_S)
    heard += [ask(worker, iter([1]))[1] for _ in range(2)]
    with pytest.raises(QueueFullError, match="2 requests are waiting") as refused:
        ask(worker, iter([1]))
    assert refused.value.retry_after_s >= 1
    gate.opened.set()
    assert [one.error for one in heard] == [None] * 3
    assert ask(worker, iter([1]))[1].error is None


def test_a_waiting_request_that_is_cancelled_leaves_the_queue_at_once(make_worker) -> None:
    worker, gate = make_worker(max_active=1, max_queue=1), Gate()
    _, working = ask(worker, gate.steps())
    gate.reached.wait(PATIENCE_S)
    task, waiting = ask(worker, iter([1]))
    task.cancel()
    assert isinstance(waiting.error, CancelledError)
    assert worker.waiting == 0
    _, next_one = ask(worker, iter([2]))
    gate.opened.set()
    assert (working.error, next_one.error) == (None, None)


def test_a_running_request_stops_before_its_next_step(make_worker) -> None:
    worker, gate = make_worker(), Gate()
    closed = []

    def steps():
        try:
            yield from gate.steps(1000)
        finally:
            closed.append(True)

    task, heard = ask(worker, steps())
    gate.reached.wait(PATIENCE_S)
    task.cancel()
    gate.opened.set()
    assert isinstance(heard.error, CancelledError)
    assert len(heard.pieces) <= 1
    assert closed == [True]
    task.cancel()  # may be said again
    assert worker.active == worker.waiting == 0


def test_a_long_step_can_ask_whether_it_should_stop(make_worker) -> None:
    """As a solver does through the hooks of the networks that it evaluates."""
    worker, reached, cancelled = make_worker(), threading.Event(), threading.Event()

    def one_long_step():
        worker.check()
        reached.set()
        assert cancelled.wait(PATIENCE_S)
        worker.check()
        yield "never"

    task, heard = ask(worker, one_long_step())
    reached.wait(PATIENCE_S)
    task.cancel()
    cancelled.set()
    assert isinstance(heard.error, CancelledError)
    assert heard.pieces == []
    worker.check()  # elsewhere it says nothing


def test_a_request_that_takes_too_long_ends(make_worker) -> None:
    now = [0.0]

    def steps():
        yield 1
        now[0] = 11.0
        yield 2
        yield 3

    _, heard = ask(make_worker(clock=lambda: now[0], max_seconds=10), steps())
    assert isinstance(heard.error, TimeLimitError)
    assert heard.pieces == [1, 2]


def test_a_listener_that_fails_ends_its_own_request(make_worker) -> None:
    worker, ended = make_worker(), threading.Event()

    def gone(piece):
        raise RuntimeError("nobody is there")

    worker.submit(iter([1, 2]), gone, lambda error: ended.set())
    assert ended.wait(PATIENCE_S)
    assert ask(worker, iter([1]))[1].error is None


def test_closing_ends_all_and_refuses_more(make_worker) -> None:
    worker, gate = make_worker(max_active=1), Gate()
    heard = [ask(worker, gate.steps())[1]]
    gate.reached.wait(PATIENCE_S)
    heard += [ask(worker, iter([1]))[1] for _ in range(3)]
    worker.close(0)
    gate.opened.set()
    assert all(isinstance(one.error, ClosedError) for one in heard)
    with pytest.raises(ClosedError):
        ask(worker, iter([1]))
    assert not worker.is_open


def test_a_thousand_cancelled_requests_leave_nothing(make_worker) -> None:
    worker = make_worker(max_queue=2000, max_active=8)
    asked = [ask(worker, iter(range(1000))) for _ in range(1000)]
    for task, _ in asked:
        task.cancel()
    assert {type(heard.error) for _, heard in asked} <= {CancelledError, type(None)}
    assert worker.waiting == worker.active == 0


class Adding:
    """Computes for several at once: how many shared each step is noted."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def compute(self, works) -> None:
        if any(work.is_bad for work in works):
            raise ValueError("one of these is bad")
        self.sizes.append(len(works))
        for work in works:
            work.ready.append(len(works))


class Shared:
    def __init__(self, batcher: Adding, steps: int, is_bad: bool = False) -> None:
        self.batcher, self.left, self.is_bad = batcher, steps, is_bad
        self.ready: list[int] = []

    def __iter__(self):
        return self

    def __next__(self):
        if not self.ready:
            raise StopIteration
        self.left -= 1
        found = self.ready.pop()
        return found if self.left >= 0 else None


def test_work_that_can_share_a_step_shares_it(make_worker) -> None:
    worker, gate, adding = make_worker(), Gate(), Adding()
    _, first = ask(worker, gate.steps(1))
    gate.reached.wait(PATIENCE_S)
    asked = [ask(worker, Shared(adding, 1)) for _ in range(3)]
    gate.opened.set()
    while not all(heard.pieces for _, heard in asked):
        threading.Event().wait(0.001)
    for task, _ in asked:
        task.cancel()
    assert first.error is None
    assert adding.sizes[0] == 3


def test_of_those_that_share_a_step_only_the_bad_one_fails(make_worker) -> None:
    worker, gate, adding = make_worker(), Gate(), Adding()
    ask(worker, gate.steps(1))
    gate.reached.wait(PATIENCE_S)
    good = [ask(worker, Shared(adding, 1)) for _ in range(2)]
    _, bad = ask(worker, Shared(adding, 1, is_bad=True))
    gate.opened.set()
    assert isinstance(bad.error, ValueError)
    while not all(heard.pieces for _, heard in good):
        threading.Event().wait(0.001)
    for task, _ in good:
        task.cancel()

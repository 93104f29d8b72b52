"""A long preparation says how far it is; a short one says nothing."""

import logging
import threading

import pytest

from aigc_core.storage import Progress, progress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_line_has_the_count_the_speed_and_the_time_left() -> None:
    clock = Clock()
    found = Progress("Decoding images", "files", 9000, clock=clock)
    found.add(1200)
    clock.now = 2.0
    assert found.line() == "Decoding images: 1,200 of 9,000 (13 %) files, 600/s, 13 s left"
    found.add(7800)
    clock.now = 75.0
    assert found.line() == "Decoding images: 9,000 of 9,000 (100 %) files, 120/s, 1 min 15 s"


def test_what_an_earlier_process_did_counts_and_is_not_speed() -> None:
    clock = Clock()
    found = Progress("Decoding", "files", 1000, clock=clock)
    found.skip(900)
    found.add(50)
    clock.now = 5.0
    assert found.line() == "Decoding: 950 of 1,000 (95 %) files, 10/s, 5 s left"


def test_an_unknown_total_is_not_guessed() -> None:
    clock = Clock()
    found = Progress("Looking", "files", clock=clock)
    found.add(30)
    clock.now = 3.0
    assert found.line() == "Looking: 30 files, 10/s"


def test_lines_come_while_one_item_takes_long(
    monkeypatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Within the first seconds, and however long it is until the next ``add``."""
    said = threading.Event()
    monkeypatch.setattr(progress, "FIRST_S", 0.0)
    monkeypatch.setattr(progress.logger, "info", lambda *_: said.set())
    with Progress("Decoding", "files", 2):
        assert said.wait(60)
    assert progress.BETWEEN_S > 1


def test_a_short_preparation_says_nothing(monkeypatch) -> None:
    assert progress.FIRST_S < 2
    lines = []
    monkeypatch.setattr(progress, "FIRST_S", 1000.0)
    monkeypatch.setattr(progress.logger, "info", lambda *line: lines.append(line))
    with Progress("Decoding", "files", 2) as found:
        found.add(2)
    assert not lines


def test_the_thread_ends_with_the_context_even_after_an_error() -> None:
    before = threading.active_count()
    with pytest.raises(ValueError), Progress("Decoding"):  # noqa: PT011
        raise ValueError
    assert threading.active_count() == before
    assert logging.getLogger("aigc") is progress.logger

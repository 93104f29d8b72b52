"""Shows progress: a live bar in a terminal, or plain lines elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar
from rich.table import Column

from aigc_core.engine import Engine, EngineObserver

_SECONDS_BETWEEN_LINES = 10.0


class Progress(EngineObserver):
    """Shows the step, time left, samples per second and losses.

    ``train`` and ``resume`` add it by default; with your own ``Engine``, write
    ``Engine(..., observers=[Progress()])``.
    """

    def __init__(self, console: Console | None = None) -> None:
        """Write to ``console``, or else to standard error: a bar in a terminal, else lines."""
        self._console = console or Console(stderr=True, highlight=False)
        self._bar: Bar | None = None
        self._last_line = 0.0

    def busy(self, text: str) -> contextlib.AbstractContextManager[object]:
        """Return a context that shows ``text`` and a spinner, such as while data is loaded."""
        return self._console.status(text)

    def fit_started(self, engine: Engine) -> None:
        """Start the bar."""
        if not self._console.is_terminal:
            return
        columns: list[ProgressColumn] = [
            MofNCompleteColumn(),
            BarColumn(bar_width=16),
            TimeRemainingColumn(),
            TextColumn("left"),
            # Takes the rest of the line and is cut off there, so the time left stays readable.
            TextColumn(
                "{task.fields[metrics]}",
                table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
            ),
        ]
        self._bar = Bar(*columns, console=self._console, expand=True)
        self._bar.add_task("train", total=engine.total_steps, completed=engine.step, metrics="")
        self._bar.start()

    def metrics_logged(self, engine: Engine, metrics: Mapping[str, float]) -> None:
        """Show the newest metrics."""
        text, step, total = describe_metrics(metrics), engine.step, engine.total_steps
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=step, metrics=text)
            return
        now = time.monotonic()
        if now - self._last_line >= _SECONDS_BETWEEN_LINES or step == total:
            self._last_line = now
            self._console.print(f"step {step}/{total}  {text}", highlight=False)

    def fit_ended(self, engine: Engine) -> None:
        """Stop the bar."""
        if self._bar:
            self._bar.stop()
            self._bar = None


def describe_metrics(metrics: Mapping[str, float]) -> str:
    """Return one line: the rate, the phases' losses, and skipped updates if there were any."""
    parts = [f"{metrics.get('samples_per_second', 0):,.0f} samples/s"]
    for name, value in metrics.items():
        section, _, phase = name.partition("/")
        if section == "loss" and "/" not in phase:
            parts.append(f"{phase} {value:.3f}")
    measured = [name for name in metrics if name.startswith("validation/")]
    if "validation/loss" in measured:
        parts.append(f"validation {metrics['validation/loss']:.3f}")
    elif measured:
        parts.append(f"{measured[0]} {metrics[measured[0]]:.3f}")
    if metrics.get("skipped_updates"):
        parts.append(f"{metrics['skipped_updates']:.0f} updates skipped (not finite)")
    return "  ".join(parts)

"""Progress in the terminal: a live bar, or plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from aigc_core.plugins import hookimpl
from aigc_core.runs import Run

_SECONDS_BETWEEN_LINES = 10.0


class ConsoleProgress:
    """Shows step, samples per second, losses and the time that is left."""

    def __init__(self, console: Console) -> None:
        """Write to ``console``; its being a terminal decides between a bar and lines."""
        self._console = console
        self._progress: Progress | None = None
        self._total = 0
        self._last_line = 0.0

    @hookimpl
    def aigc_run_started(self, run: Run, config: Mapping[str, Any], start_step: int) -> None:
        self._total = config["engine"]["steps"]
        if not self._console.is_terminal:
            return
        self._progress = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.fields[told]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._progress.add_task("train", total=self._total, completed=start_step, told="")
        self._progress.start()

    @hookimpl
    def aigc_metrics_logged(self, step: int, metrics: Mapping[str, float]) -> None:
        told = describe_metrics(metrics)
        if self._progress:
            self._progress.update(self._progress.task_ids[0], completed=step, told=told)
            return
        now = time.monotonic()
        if now - self._last_line >= _SECONDS_BETWEEN_LINES or step == self._total:
            self._last_line = now
            self._console.print(f"step {step}/{self._total}  {told}", highlight=False)

    @hookimpl
    def aigc_run_finished(self) -> None:
        if self._progress:
            self._progress.stop()
            self._progress = None


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

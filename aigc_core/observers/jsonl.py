"""Metrics as lines of JSON in the run's folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from aigc_core.errors import StorageError
from aigc_core.plugins import hookimpl
from aigc_core.runs import Run

logger = logging.getLogger("aigc")


class JsonlMetrics:
    """Writes ``metrics.jsonl``; lines that cannot be written are kept and retried."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, Mapping[str, float]]] = []

    @hookimpl
    def aigc_metrics_logged(self, run: Run, step: int, metrics: Mapping[str, float]) -> None:
        failed_before = bool(self._waiting)
        self._waiting.append((step, dict(metrics)))
        self._write(run, say=not failed_before)

    @hookimpl
    def aigc_run_finished(self, run: Run) -> None:
        self._write(run, say=True)

    def _write(self, run: Run, *, say: bool) -> None:
        while self._waiting:
            try:
                run.metrics.append(*self._waiting[0])
            except StorageError as error:
                if say:
                    logger.warning("%s It is tried again when there are more metrics.", error)
                return
            del self._waiting[0]

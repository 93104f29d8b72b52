"""Metrics as lines of JSON in the run's folder."""

from __future__ import annotations

from collections.abc import Mapping

from aigc_core.plugins import hookimpl
from aigc_core.runs import Run


class JsonlMetrics:
    """Writes ``metrics.jsonl``."""

    @hookimpl
    def aigc_metrics_logged(self, run: Run, step: int, metrics: Mapping[str, float]) -> None:
        run.metrics.append(step, metrics)

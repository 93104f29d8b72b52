"""What the engine tells while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aigc_core.engine.engine import Engine


class EngineObserver:
    """Base of what watches an engine; every method may be left out.

    The engine writes nothing itself: an observer that wants a checkpoint on disk takes
    ``engine.state()`` when ``checkpoint_due`` is called.
    """

    def fit_started(self, engine: Engine) -> None:
        """Called before the first step."""

    def metrics_logged(self, engine: Engine, metrics: Mapping[str, float]) -> None:
        """Called at every log interval and after the last step."""

    def samples_due(self, engine: Engine) -> None:
        """Called at every sample interval and after the last step."""

    def checkpoint_due(self, engine: Engine) -> None:
        """Called at every checkpoint interval, after the last step, and when interrupted."""

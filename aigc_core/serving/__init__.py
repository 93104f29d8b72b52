"""Loaded models that many may ask at once; knows no network protocol."""

from typing import TYPE_CHECKING

from aigc_core._lazy import lazy_exports
from aigc_core.serving.limits import LimitError, Limits
from aigc_core.serving.worker import (
    CancelledError,
    ClosedError,
    QueueFullError,
    Task,
    TimeLimitError,
    Worker,
)

if TYPE_CHECKING:
    from aigc_core.serving.pool import ModelPool, ServedModel

__getattr__ = lazy_exports(__name__, {"ModelPool": "pool", "ServedModel": "pool"})

__all__ = [
    "CancelledError",
    "ClosedError",
    "LimitError",
    "Limits",
    "ModelPool",
    "QueueFullError",
    "ServedModel",
    "Task",
    "TimeLimitError",
    "Worker",
]

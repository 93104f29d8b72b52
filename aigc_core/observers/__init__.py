"""Observers of a run: hook implementations like those of any plugin."""

from aigc_core.observers.jsonl import JsonlMetrics
from aigc_core.observers.tensorboard import TensorBoard


def default_observers() -> list[object]:
    """Return the observers that every run has."""
    return [JsonlMetrics(), TensorBoard()]


__all__ = ["JsonlMetrics", "TensorBoard", "default_observers"]

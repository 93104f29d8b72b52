"""The run folder: what it contains, and how it is safely written and read back."""

from typing import TYPE_CHECKING

from aigc_core._lazy import lazy_exports
from aigc_core.runs.create import check_free, create_run, new_run_path
from aigc_core.runs.facts import DatasetFacts
from aigc_core.runs.folder import Run, find_runs, open_run
from aigc_core.runs.outcome import choose_checkpoint

if TYPE_CHECKING:
    from aigc_core.runs.checkpoint import load_checkpoint, open_weights, save_checkpoint

__getattr__ = lazy_exports(
    __name__,
    {
        "load_checkpoint": "checkpoint",
        "open_weights": "checkpoint",
        "save_checkpoint": "checkpoint",
    },
)

__all__ = [
    "DatasetFacts",
    "Run",
    "check_free",
    "choose_checkpoint",
    "create_run",
    "find_runs",
    "load_checkpoint",
    "new_run_path",
    "open_run",
    "open_weights",
    "save_checkpoint",
]

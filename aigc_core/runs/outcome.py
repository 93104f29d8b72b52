"""How a run went, according to its newest checkpoint, and which checkpoint a name stands for.

The best checkpoint is marked as such in its own state, so a crash cannot come between writing it
and marking it. Free of torch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aigc_core.errors import RunError, did_you_mean
from aigc_core.runs.inside import read_json
from aigc_core.runs.manifest import checkpoint_folder, checkpoint_steps
from aigc_core.state import Outcome

SCALARS = "state.json"


def read_outcome(checkpoints: Path) -> Outcome:
    """Return the outcome in the newest readable checkpoint; an empty one if there is none."""
    for scalars in _scalars(checkpoints):
        with contextlib.suppress(ValidationError):
            return Outcome.model_validate(scalars.get("validations") or {})
    return Outcome()


def read_train_seconds(checkpoints: Path) -> float:
    """Return how long training took up to the newest readable checkpoint; 0 without one."""
    for scalars in _scalars(checkpoints):
        seconds = scalars.get("train_seconds")
        if isinstance(seconds, int | float):
            return float(seconds)
    return 0.0


def _scalars(checkpoints: Path) -> Iterator[dict[str, Any]]:
    """Yield the checkpoints' scalars, the newest first; unreadable ones are left out."""
    for step in reversed(checkpoint_steps(checkpoints)):
        with contextlib.suppress(FileNotFoundError, RunError):
            yield read_json(checkpoint_folder(checkpoints, step) / SCALARS)


def choose_checkpoint(checkpoints: Path, name: str | int | None) -> int | None:
    """Return the step of ``best`` or of a number; None for ``newest`` or no name.

    Raises:
        RunError: there is no such checkpoint; lists those there are.
    """
    if name is None or name == "newest":
        return None
    steps = checkpoint_steps(checkpoints)
    there = ", ".join(map(str, steps)) or "none"
    if name == "best":
        best = read_outcome(checkpoints).best
        if best is None:
            raise RunError(
                f"No checkpoint in {checkpoints} is known to be the best: nothing was measured at "
                f"validations yet, or with checkpoint.keep_best=null. There are: {there}."
            )
        if best.step not in steps:
            raise RunError(
                f"The best checkpoint, {best}, is not in {checkpoints} any more. "
                f"There are: {there}."
            )
        return best.step
    number = str(name).removeprefix("step-")
    if not (number.isascii() and number.isdecimal()):
        raise RunError(
            f"--checkpoint {name} is not valid: it should be a step."
            f"{did_you_mean(str(name), ['best', 'newest'])}"
        )
    if int(number) not in steps:
        raise RunError(
            f"There is no checkpoint of step {int(number)} in {checkpoints}. There are: {there}."
        )
    return int(number)

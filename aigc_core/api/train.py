"""Training: a new run, or one that goes on."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aigc_core.api.going_on import prepare_resume
from aigc_core.api.prepare import prepare_training
from aigc_core.config import Layer, resolve_config
from aigc_core.config.layers import nest
from aigc_core.plugins import get_host
from aigc_core.runs import Run, open_run


def train(
    recipe: str,
    *,
    dataset: str | None = None,
    preset: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    observers: Sequence[object] = (),
) -> Run:
    """Train a recipe in a new run.

    Args:
        recipe: such as ``"image/dcgan"``; see ``aigc recipes``.
        dataset: name of a dataset of the recipe's modality; None for the recipe's own.
        preset: one of the recipe's presets.
        overrides: settings by dotted key, such as ``{"engine.steps": 500}``.
        out: the run's folder; None for a new one below ``runs``.
        observers: objects with ``@hookimpl`` methods that watch this run alone, beside JSONL and
            TensorBoard, which always do.

    Returns:
        The run. A signal such as Ctrl-C's is passed on after the step and its checkpoint: it
        raises ``KeyboardInterrupt`` or ends the process, and ``resume`` goes on.

    Raises:
        UserError: a name, value or file that is not valid; nothing was written.
        TrainingError: it diverged; checkpoints of before are whole.
    """
    assignments = dict(overrides or {})
    if dataset is not None:
        assignments["dataset.name"] = dataset
    layer = Layer("overrides", nest(assignments))
    host = get_host()
    config = resolve_config(host, recipe, preset=preset, layers=[layer]).config
    with prepare_training(host, config, out, observers) as training:
        result = training.fit()
    if result.signal is not None:
        signal.raise_signal(result.signal)
    return training.run


def resume(
    run: Run | str | Path,
    *,
    steps: int | None = None,
    until: str | None = None,
    data_root: str | None = None,
    device: str | None = None,
    allow_changes: bool = False,
    keep_schedule: bool = False,
    observers: Sequence[object] = (),
) -> Run:
    """Go on with a run from its newest checkpoint that verifies, exactly as if it had not stopped.

    Args:
        run: a run or the path of one.
        steps: train until this many steps instead of what the run was made for. A standard that
            was reached is dropped, and patience begins anew.
        until: another standard, such as ``"validation/loss<=1.7"``.
        data_root: where the data is now, if it was moved.
        device: another device than before; the result then differs in rounding.
        allow_changes: resume although ``config.yaml`` or ``dataset.json`` was edited since the
            checkpoint was written, with them as they are now.
        keep_schedule: let learning-rate schedules end where they did, so that further steps keep
            the rate that they ended with.
        observers: as for ``train``.

    Raises:
        RunError: not a run, the data changed, or nothing left to do.
    """
    run = run if isinstance(run, Run) else open_run(run)
    with prepare_resume(
        run,
        steps=steps,
        until=until,
        data_root=data_root,
        device=device,
        allow_changes=allow_changes,
        keep_schedule=keep_schedule,
        observers=observers,
    ) as training:
        result = training.fit()
    if result.signal is not None:
        signal.raise_signal(result.signal)
    return run

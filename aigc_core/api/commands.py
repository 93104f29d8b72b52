"""``train`` and ``resume``, which the command line calls with the same keywords.

``train`` imports torch only after names and settings have been validated.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aigc_core.config import (
    Layer,
    ResolvedConfig,
    RunConfig,
    given_settings,
    read_config_file,
    resolve_config,
)
from aigc_core.config.layers import nest
from aigc_core.errors import ConfigError, Interrupted, Terminated, TrainingError
from aigc_core.files import typed
from aigc_core.plugins import get_host
from aigc_core.runs import Run, open_run
from aigc_core.workers import started_processes

if TYPE_CHECKING:
    from rich.console import Console

    from aigc_core.observers.progress import Progress


def train(
    recipe: str,
    *,
    dataset: str | None = None,
    data_root: str | Path | None = None,
    preset: str | None = None,
    config: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    steps: int | None = None,
    epochs: float | None = None,
    until: str | None = None,
    max_time: str | float | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    device: str | None = None,
    precision: str | None = None,
    out: str | Path | None = None,
    parents: Mapping[str, Run | str | Path] | None = None,
    init_from: Run | str | Path | None = None,
    strict_init: bool = False,
    observers: Sequence[object] = (),
    progress: bool | Console = True,
    nproc: int | None = None,
    max_restarts: int = 0,
    start: bool = True,
) -> Run:
    """Train a recipe in a new run.

    Settings, weakest first: the recipe's defaults, ``preset``, ``config``, then ``overrides`` and
    the other keywords, which must not give one setting two different values.

    Args:
        recipe: such as ``"image/dcgan"``; see ``aigc recipes``.
        dataset: name of a dataset of the recipe's modality; None for the recipe's default.
        data_root: folder to read data from; None for ``AIGC_DATA_DIR``, or a download.
        preset: one of the recipe's presets.
        config: a YAML file with the sections dataset, model, trainer and engine.
        overrides: settings by dotted key, such as ``{"engine.ema": 0.999}``.
        steps: train for this many steps.
        epochs: or for this many passes over the data.
        until: stop when a validation meets this: ``"validation/loss<=1.85"``.
        max_time: or after this much training: ``"30m"``, ``"1h30m"``, or seconds.
        batch_size: samples per optimiser update.
        seed: seed of everything random; None for that of the settings, which is 0, or for a
            secret one if the training is to be private.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        precision: ``auto``, ``fp32`` or ``bf16``.
        out: the run's folder; None for a new one below ``runs``.
        parents: trained runs that the recipe builds on, by its names for them; ``"RUN@best"`` and
            ``"RUN@500"`` name a checkpoint. The new run keeps a copy of what it needs.
        init_from: a run, likewise, or a ``.safetensors`` file, whose weights training starts from,
            as far as they fit.
        strict_init: whether they have to fit completely.
        observers: objects with ``@hookimpl`` methods that watch only this run, in addition to JSONL
            and TensorBoard, which are always on. They may raise ``StopTraining`` to end training.
        progress: whether to show progress on standard error, or the console to show it on.
        nproc: how many processes on this machine share the training, each with a GPU of its own
            where there are GPUs; None and 1 for this process alone. ``batch_size`` stays that of
            all together. Observers, which are objects of this process, cannot watch them.
        max_restarts: how often they are all started again after one of them has failed.
        start: whether to train; if not, the run is made, and ``resume`` starts it, also in several
            processes at once, as ``torchrun`` starts them.

    Returns:
        The run.

    Raises:
        UserError: an invalid name, value or file; nothing was written.
        TrainingError: training diverged or ran out of memory; earlier checkpoints are kept.
        Interrupted: a signal such as Ctrl-C stopped training, normally after a step and its
            checkpoint; ``resume`` continues it. A subclass of ``KeyboardInterrupt``.
    """
    settings = given_settings(
        overrides,
        dataset=dataset,
        data_root=data_root,
        steps=steps,
        epochs=epochs,
        until=until,
        max_time=max_time,
        batch_size=batch_size,
        seed=seed,
        device=device,
        precision=precision,
    )
    layers = [read_config_file(Path(config))] if config is not None else []
    layers.append(Layer("given settings", nest(settings)))
    host = get_host()
    resolved = _with_secret_seed(resolve_config(host, recipe, preset=preset, layers=layers))

    from aigc_core.api.blueprint import Blueprint
    from aigc_core.api.launch import check_restarts, launch
    from aigc_core.api.training import Training

    blueprint = Blueprint.of(host, resolved)
    check_restarts(nproc, max_restarts)
    if not start or nproc not in (None, 1):
        processes = 1 if nproc is None else nproc
        if processes > 1 and observers:
            raise ConfigError(
                "observers are objects of this process and cannot watch others: leave nproc out, "
                "or bring them as a plugin."
            )
        run = Training.prepare(
            blueprint,
            out,
            _display(progress),
            nproc=processes,
            parents=parents,
            init_from=init_from,
            strict_init=strict_init,
        )
        if start:
            quiet = [] if progress else ["--quiet"]
            try:
                launch(run, processes, ["resume", str(run.path), *quiet], max_restarts)
            except Terminated as ended:
                raise _as_exception(run, int(str(ended.code))) from None
        return run
    with Training.start(
        blueprint,
        out,
        observers,
        _display(progress),
        parents=parents,
        init_from=init_from,
        strict_init=strict_init,
    ) as training:
        training.fit()
    return training.run


def resume(
    run: Run | str | Path,
    *,
    data_root: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    steps: int | None = None,
    epochs: float | None = None,
    until: str | None = None,
    max_time: str | float | None = None,
    device: str | None = None,
    allow_changes: bool = False,
    keep_schedule: bool = False,
    observers: Sequence[object] = (),
    progress: bool | Console = True,
) -> Run:
    """Resume a run from its newest intact checkpoint, exactly as if it had not stopped.

    As one of several processes that ``torchrun`` started, train it together with the others.

    Args:
        run: a run or the path of one.
        data_root: where the data is now, if it was moved.
        overrides: changed settings, such as ``{"engine.checkpoint.keep": 5}``; the result may then
            differ from that of an uninterrupted run.
        steps: new total number of steps. A standard that was already reached is dropped, and
            patience starts afresh.
        epochs: or a new total number of passes over the data.
        until: a new standard, such as ``"validation/loss<=1.7"``.
        max_time: a new limit of the training's time as a whole, such as ``"2h"``.
        device: a different device; the result then differs in rounding.
        allow_changes: resume even if ``config.yaml`` or ``dataset.json`` was edited since the
            checkpoint was written, using them as they are now.
        keep_schedule: let learning-rate schedules end at the same step as before, so that further
            steps keep the final rate.
        observers: as for ``train``.
        progress: as for ``train``.

    Raises:
        RunError: not a run, the data changed, or there is nothing left to do.
        Interrupted: as for ``train``.
    """
    if started_processes() == 1:
        run = run if isinstance(run, Run) else open_run(run)  # before torch is loaded
    settings = given_settings(
        overrides,
        data_root=data_root,
        steps=steps,
        epochs=epochs,
        until=until,
        max_time=max_time,
        device=device,
    )

    from aigc_core.api.training import Training
    from aigc_core.engine.distributed import joined

    with joined() as processes:
        with processes.in_turn():
            run = run if isinstance(run, Run) else open_run(run)
        with Training.resume(
            run,
            settings,
            allow_changes=allow_changes,
            keep_schedule=keep_schedule,
            observers=observers,
            progress=_display(progress) if processes.first else None,
        ) as training:
            training.fit()
    return run


def _as_exception(run: Run, code: int) -> BaseException:
    """Return what a failure of other processes, which they have explained, is in this one."""
    if code > 128:
        message = f"Stopped at step {run.step}. Resume with: aigc resume {typed(run.path)}"
        return Interrupted(message, code - 128, run)
    return TrainingError(f"The training of {run.path} failed; its processes have said why.")


def _display(progress: bool | Console) -> Progress | None:
    from aigc_core.observers.progress import Progress

    if isinstance(progress, bool):
        return Progress() if progress else None
    return Progress(progress)


def _with_secret_seed(resolved: ResolvedConfig) -> RunConfig:
    """Return the configuration, with a random seed if it is private and nobody chose one.

    Who knows the seed knows the noise, and could subtract it.
    """
    config = resolved.config
    chosen = resolved.sources["engine.seed"] != "default"
    if chosen or getattr(config.trainer, "privacy", None) is None:
        return config
    engine = config.engine.model_copy(update={"seed": int.from_bytes(os.urandom(8), "big") >> 1})
    return config.model_copy(update={"engine": engine})

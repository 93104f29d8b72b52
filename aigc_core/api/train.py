"""Training: a new run, or one that goes on."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from aigc_core.api.build import (
    build_parts,
    check_model_form,
    describe_data,
    describe_environment,
    load_data,
    load_held_out,
    require_plugins,
    run_layer,
)
from aigc_core.api.session import RunRecorder
from aigc_core.config import Layer, RunConfig, resolve_config
from aigc_core.config.layers import nest
from aigc_core.engine import Engine, EngineState, FitResult
from aigc_core.errors import PluginError, RunError, StorageError, TrainingError
from aigc_core.interfaces import Modality, SampleStore
from aigc_core.observers import default_observers
from aigc_core.plugins import PluginHost, get_host
from aigc_core.plugins.hooks import HookCaller
from aigc_core.runs import (
    DatasetFacts,
    Run,
    check_free,
    create_run,
    load_checkpoint,
    new_run_path,
    open_run,
)

logger = logging.getLogger("aigc")


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
    data_root: str | None = None,
    device: str | None = None,
    observers: Sequence[object] = (),
) -> Run:
    """Go on with a run from its newest checkpoint that verifies, exactly as if it had not stopped.

    Args:
        run: a run or the path of one.
        steps: train until this many steps instead of what the run was made for.
        data_root: where the data is now, if it was moved.
        device: another device than before; the result then differs in rounding.
        observers: as for ``train``.

    Raises:
        RunError: not a run, the data changed, or nothing left to do.
    """
    run = run if isinstance(run, Run) else open_run(run)
    with prepare_resume(
        run, steps=steps, data_root=data_root, device=device, observers=observers
    ) as training:
        result = training.fit()
    if result.signal is not None:
        signal.raise_signal(result.signal)
    return run


@dataclass
class Training:
    """A run that is ready to train."""

    run: Run
    engine: Engine
    hooks: HookCaller
    sample_count: int
    notes: tuple[str, ...]

    def fit(self) -> FitResult:
        """Train, and tell observers how it ended, whatever happens."""
        status = "failed"
        try:
            result = self.engine.fit()
            status = "complete" if result.signal is None else "interrupted"
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                status = "interrupted"
            with contextlib.suppress(PluginError):  # with --strict: the first error is the one told
                self._finish(status)
            if isinstance(error, RuntimeError) and _is_out_of_memory(error):
                raise TrainingError(
                    f"Out of memory at step {self.engine.step}, with batches of "
                    f"{self.engine.config.batch_size}. Set a smaller engine.batch_size, or "
                    "engine.accumulate to split batches."
                ) from error
            raise
        self._finish(status)
        return result

    def _finish(self, status: str) -> None:
        step = self.engine.step
        self.hooks.call("aigc_run_finished", run=self.run, step=step, status=status)


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


@contextlib.contextmanager
def prepare_training(
    host: PluginHost,
    config: RunConfig,
    out: str | Path | None = None,
    observers: Sequence[object] = (),
) -> Iterator[Training]:
    """Make everything for a new run, and its folder last, so that bad input leaves none behind."""
    path = Path(out).expanduser() if out is not None else None
    if path is not None:
        check_free(path)
    hooks = HookCaller(host.manager, [*default_observers(), *observers])
    config = _with_absolute_root(config)
    store = load_data(host, config)
    facts, notes = describe_data(store), store.notes
    modality, engine = _build_engine(host, config, store)
    del store  # where the engine has a copy on its device, nothing else should keep one
    steps = config.engine.model_copy(update={"steps": engine.total_steps, "epochs": None})
    config = config.model_copy(update={"engine": steps})
    environment = describe_environment(host, config)
    run = _create(path, config, facts, environment)
    with run.locked():
        engine.add_observer(RunRecorder(run, modality, hooks))
        yield Training(run, engine, hooks, facts.count, notes)


def _create(
    path: Path | None, config: RunConfig, facts: DatasetFacts, environment: dict[str, Any]
) -> Run:
    """Make the folder; where none was named, another one than trainings that start just now."""
    for attempt in range(10):
        target = path or new_run_path(config.recipe)
        try:
            return create_run(
                target, config=config.to_dict(), dataset=facts, environment=environment
            )
        except (RunError, StorageError):
            if path is not None or attempt == 9 or not target.exists():
                raise
    raise AssertionError("unreachable")


def _build_engine(
    host: PluginHost, config: RunConfig, store: SampleStore
) -> tuple[Modality, Engine]:
    parts = build_parts(host, config, store.spec, len(store.label_names))
    check_model_form(host, parts, config.recipe, store)
    validation = None
    if parts.trainer.validation() is not None and config.engine.validation_samples:
        validation = load_held_out(host, config, store.spec)
    engine = Engine(
        parts.trainer,
        store.arrays,
        config.engine,
        transform=parts.modality.to_model,
        validation=validation,
    )
    return parts.modality, engine


def _with_absolute_root(config: RunConfig) -> RunConfig:
    """Keep a named data folder by its absolute path, so that a run resumes from anywhere."""
    if config.dataset.root is None:
        return config
    root = os.path.abspath(os.path.expanduser(config.dataset.root))
    return config.model_copy(update={"dataset": config.dataset.model_copy(update={"root": root})})


@contextlib.contextmanager
def prepare_resume(
    run: Run,
    *,
    steps: int | None = None,
    data_root: str | None = None,
    device: str | None = None,
    observers: Sequence[object] = (),
) -> Iterator[Training]:
    """Make everything to go on with a run; see ``resume``."""
    host = get_host()
    changes = {"engine.steps": steps, "engine.device": device, "dataset.root": data_root}
    changes = {key: value for key, value in changes.items() if value is not None}
    require_plugins(host, run)
    layers = [run_layer(run), Layer("overrides", nest(changes))]
    config = resolve_config(host, run.recipe, layers=layers).config
    config = _with_absolute_root(config.model_copy(update={"preset": run.config.get("preset")}))
    total = config.engine.steps
    if total is None:
        raise RunError(f"{run.path / 'config.yaml'} must give engine.steps, not epochs.")
    hooks = HookCaller(host.manager, [*default_observers(), *observers])
    with run.locked():
        checkpoint = load_checkpoint(run.checkpoints, logger.warning)
        step = checkpoint.step if checkpoint else 0
        if step >= total:
            raise RunError(
                f"{run.path} is complete: step {step} of {total}. "
                f"Train on with: aigc resume {shlex.quote(str(run.path))} --steps {step * 2}"
            )
        store = load_data(host, config)
        facts, notes = describe_data(store), store.notes
        if difference := run.dataset.difference(facts):
            raise RunError(
                f"The data is not what {run.path} was trained on: {difference}. "
                "Start a new run, or restore the data."
            )
        modality, engine = _build_engine(host, config, store)
        del store
        if checkpoint:
            engine.load_state(
                EngineState(checkpoint.weights, checkpoint.tensors, checkpoint.scalars)
            )
        else:
            logger.warning("%s has no checkpoint yet: training starts from step 0.", run.path)
        _warn_of_another_machine(run, engine, describe_environment(host, config))
        run.metrics.cut_after(step)
        if config.to_dict() != run.config:
            run.update_config(config.to_dict())
        engine.add_observer(RunRecorder(run, modality, hooks))
        yield Training(run, engine, hooks, facts.count, notes)


def _warn_of_another_machine(run: Run, engine: Engine, now: Mapping[str, Any]) -> None:
    """Say what keeps the result from being the same to the bit as without the interruption."""
    try:
        started = run.environment
    except RunError as error:
        logger.warning("%s What the run was started on is not known.", error)
        return
    for key in ("torch", "device", "precision", "threads"):
        if started.get(key) != now[key]:
            logger.warning(
                "%s was %s when %s was started and is %s now: the result will differ in rounding.",
                key,
                started.get(key),
                run.path,
                now[key],
            )
    if engine.device.type == "cuda" and not engine.config.deterministic:
        logger.warning("Without engine.deterministic, results of a GPU differ in rounding.")

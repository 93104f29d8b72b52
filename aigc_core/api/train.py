"""Training: a new run, or one that goes on."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pluggy

from aigc_core.api.build import (
    build_parts,
    describe_data,
    describe_environment,
    load_data,
    run_layer,
)
from aigc_core.api.session import RunRecorder
from aigc_core.config import EngineConfig, Layer, RunConfig, resolve_config
from aigc_core.config.layers import nest
from aigc_core.engine import Engine, EngineState, FitResult
from aigc_core.errors import RunError
from aigc_core.interfaces import SampleStore
from aigc_core.observers import default_observers
from aigc_core.plugins import PluginHost, get_host
from aigc_core.plugins.hooks import HookCaller, check_hooks
from aigc_core.runs import Run, load_checkpoint, new_run_path, open_run
from aigc_core.runs.folder import check_free, create_run

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
        dataset: name of a data set of the recipe's modality; None for the recipe's own.
        preset: one of the recipe's presets.
        overrides: settings by dotted key, such as ``{"engine.steps": 500}``.
        out: the run's folder; None for a new one below ``runs``.
        observers: objects with ``@hookimpl`` methods that watch this run alone, beside JSONL and
            TensorBoard, which always do.

    Returns:
        The run. A run that SIGINT or SIGTERM stopped is ``unfinished``: see ``resume``.

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
        training.fit()
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
        training.fit()
    return run


@dataclass
class Training:
    """A run that is ready to train."""

    run: Run
    engine: Engine
    hooks: HookCaller
    store: SampleStore
    result: FitResult | None = None

    def fit(self) -> FitResult:
        """Train, and tell observers how it ended, whatever happens."""
        status = "failed"
        try:
            self.result = self.engine.fit()
            status = "completed" if self.result.signal is None else "interrupted"
            return self.result
        except KeyboardInterrupt:
            status = "interrupted"
            raise
        finally:
            step = self.engine.step
            self.hooks.call("aigc_run_finished", run=self.run, step=step, status=status)


@contextlib.contextmanager
def prepare_training(
    host: PluginHost,
    config: RunConfig,
    out: str | Path | None = None,
    observers: Sequence[object] = (),
) -> Iterator[Training]:
    """Make everything for a new run, and its folder last, so that bad input leaves none behind."""
    path = Path(out) if out is not None else new_run_path(config.recipe)
    check_free(path)
    store = load_data(host, config)
    parts = build_parts(host, config, store.spec, len(store.label_names))
    engine = Engine(parts.trainer, store.arrays, config.engine, transform=parts.modality.to_model)
    engine_config = _with_steps(config.engine, engine.total_steps)
    root = Path(config.dataset.root).absolute() if config.dataset.root else None
    config = config.model_copy(
        update={
            "engine": engine_config,
            "dataset": config.dataset.model_copy(update={"root": str(root) if root else None}),
        }
    )
    run = create_run(
        path,
        config=config.to_dict(),
        dataset=describe_data(store),
        environment=describe_environment(host, config),
    )
    with run.locked(), _observing(host, run, observers) as hooks:
        engine.add_observer(RunRecorder(run, parts.modality, hooks))
        yield Training(run, engine, hooks, store)


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
    layers = [run_layer(run), Layer("overrides", nest(changes))]
    config = resolve_config(host, run.recipe, layers=layers).config
    config = config.model_copy(update={"preset": run.config.get("preset")})
    with run.locked():
        checkpoint = load_checkpoint(run.checkpoints, logger.warning)
        step, total = checkpoint.step if checkpoint else 0, config.engine.steps or 0
        if step >= total:
            raise RunError(
                f"{run.path} is complete: step {step} of {total}. "
                f"Train on with: aigc resume {run.path} --steps {step * 2}"
            )
        store = load_data(host, config)
        now, before = describe_data(store), run.dataset
        if now != before:
            raise RunError(
                f"The data is not what {run.path} was trained on: there are {now['count']} samples "
                f"of shape {now['spec']['shape']}, and it had {before.get('count')} of shape "
                f"{before.get('spec', {}).get('shape')}. Start a new run, or restore the data."
            )
        parts = build_parts(host, config, store.spec, len(store.label_names))
        engine = Engine(
            parts.trainer, store.arrays, config.engine, transform=parts.modality.to_model
        )
        if checkpoint:
            engine.load_state(
                EngineState(checkpoint.weights, checkpoint.tensors, checkpoint.scalars)
            )
        else:
            logger.warning("%s has no checkpoint yet: training starts from step 0.", run.path)
        _warn_of_another_machine(run, describe_environment(host, config))
        run.metrics.cut_after(step)
        if config.to_dict() != run.config:
            run.update_config(config.to_dict())
        with _observing(host, run, observers) as hooks:
            engine.add_observer(RunRecorder(run, parts.modality, hooks))
            yield Training(run, engine, hooks, store)


def _warn_of_another_machine(run: Run, now: Mapping[str, Any]) -> None:
    """Say what differs from where the run was started, and changes the last bits of its result."""
    for key in ("torch", "device", "precision", "threads"):
        before = run.environment.get(key)
        if before != now[key]:
            logger.warning(
                "%s was %s when %s was started and is %s now: the result will differ in rounding.",
                key,
                before,
                run.path,
                now[key],
            )


@contextlib.contextmanager
def _observing(host: PluginHost, run: Run, observers: Sequence[object]) -> Iterator[HookCaller]:
    """Register the run's observers for as long as it lasts."""
    manager: pluggy.PluginManager = host.manager
    registered = []
    try:
        for observer in (*default_observers(), *observers):
            check_hooks(manager, observer)
            manager.register(observer)
            registered.append(observer)
        yield HookCaller(manager)
    finally:
        for observer in registered:
            manager.unregister(observer)


def _with_steps(config: EngineConfig, steps: int) -> EngineConfig:
    return config.model_copy(update={"steps": steps, "epochs": None})

"""Everything that a training needs, made ready before its first step."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from aigc_core.api.build import (
    build_parts,
    check_model_form,
    describe_data,
    describe_environment,
    describe_held_out,
    load_data,
    load_held_out,
)
from aigc_core.api.fitting import Budget
from aigc_core.api.metrics import MetricComparison, choose_metrics
from aigc_core.api.session import RunRecorder
from aigc_core.api.unchanged import RECORD
from aigc_core.config import RunConfig
from aigc_core.engine import Engine, FitResult
from aigc_core.errors import (
    AigcError,
    ConfigError,
    PluginError,
    RunError,
    StorageError,
    TrainingError,
)
from aigc_core.interfaces import Modality, SampleStore
from aigc_core.observers import default_observers
from aigc_core.plugins import PluginHost, get_host
from aigc_core.plugins.blame import failure
from aigc_core.plugins.hooks import HookCaller
from aigc_core.runs import (
    DatasetFacts,
    Run,
    check_free,
    create_run,
    new_run_path,
)
from aigc_core.runs.facts import Digests
from aigc_core.runs.log import log_traceback
from aigc_core.runs.record import record_of

logger = logging.getLogger("aigc")


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
            if isinstance(error, Exception) and not isinstance(error, AigcError):
                log_traceback(self.run, error)
            if isinstance(error, RuntimeError) and _is_out_of_memory(error):
                raise TrainingError(
                    f"Out of memory at step {self.engine.step}, with batches of "
                    f"{self.engine.config.batch_size}. Set a smaller engine.batch_size, or "
                    "engine.accumulate to split batches."
                ) from error
            if isinstance(error, Exception) and not isinstance(error, AigcError | OSError):
                raise failure(get_host(), error, f"training {self.run.recipe}") from error
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
    path = Path(os.path.expanduser(out)) if out is not None else None
    if path is not None:
        check_free(path)
    hooks = HookCaller(host.manager, [*default_observers(), *observers])
    config = with_absolute_root(config)
    store = load_data(host, config)
    modality, engine, held_out = build_engine(host, config, store)
    facts, notes = describe_data(store).model_copy(update={"held_out": held_out}), store.notes
    del store  # where the engine has a copy on its device, nothing else should keep one
    engine.check_validation()
    steps = config.engine.model_copy(update={"steps": engine.total_steps, "epochs": None})
    config = config.model_copy(update={"engine": steps})
    record = record_of(config.to_dict(), facts.model_dump(mode="json"))
    environment = describe_environment(host, config) | {RECORD: record.model_dump(mode="json")}
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


def build_engine(
    host: PluginHost, config: RunConfig, store: SampleStore, budget: Budget | None = None
) -> tuple[Modality, Engine, dict[str, Digests]]:
    """Make the networks and the engine for data that is loaded; see ``build_parts``.

    Returns:
        The modality, the engine, and digests of the held-out data by split, where there is any.

    Raises:
        UserError: settings that do not fit the data, the recipe or each other.
    """
    parts = build_parts(host, config, store.spec, len(store.label_names), budget)
    check_model_form(host, parts, config.recipe, store)
    compare = _comparison(host, config, parts.modality)
    wanted = config.engine.needs_validation
    validation = None
    if (parts.trainer.validation() or compare) and config.engine.validation_samples:
        validation = load_held_out(host, config, store.spec, store.label_names)
        if validation is None and wanted is not None:
            name = config.dataset.name
            spec = host.dataset(name, host.recipe(config.recipe).modality)
            empty = [split for split in spec.splits if split in ("validation", "test")]
            raise ConfigError(
                f"engine.{wanted} needs held-out data, and the dataset '{name}' has "
                + (
                    f"an empty split '{empty[0]}', as it was configured."
                    if empty
                    else "no split 'validation' or 'test'. Choose another with --dataset."
                )
            )
    elif wanted is not None:
        raise ConfigError(
            f"engine.{wanted} needs validation, and {config.recipe} measures nothing on held-out "
            "data by itself. Name metrics with engine.validation_metrics; see: aigc metrics"
        )
    engine = Engine(
        parts.trainer,
        store.arrays,
        config.engine,
        transform=parts.modality.to_model,
        validation=validation.store.arrays if validation else None,
        compare=compare,
    )
    held_out = {validation.split: describe_held_out(validation.store)} if validation else {}
    return parts.modality, engine, held_out


def _comparison(host: PluginHost, config: RunConfig, modality: Modality) -> MetricComparison | None:
    names = config.engine.validation_metrics
    if not names:
        return None
    name = host.recipe(config.recipe).modality
    return MetricComparison(host, choose_metrics(host, names, name, modality), modality)


def with_absolute_root(config: RunConfig) -> RunConfig:
    """Keep a named data folder by its absolute path, so that a run resumes from anywhere."""
    if config.dataset.root is None:
        return config
    root = os.path.abspath(os.path.expanduser(config.dataset.root))
    return config.model_copy(update={"dataset": config.dataset.model_copy(update={"root": root})})

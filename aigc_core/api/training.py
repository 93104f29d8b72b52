"""Training a run; new and resumed runs share the same code path."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from aigc_core.api.announcements import (
    say_how_private,
    say_how_shared,
    say_of_another_number,
    warn_of_another_machine,
    warn_of_jumps,
)
from aigc_core.api.blueprint import Assembly, Blueprint
from aigc_core.api.fitting import Budget, budget_for, check_header, check_size
from aigc_core.api.launch import check_launch
from aigc_core.api.lineage import Given, Origins, lineage_of, references, whole_header
from aigc_core.api.provenance import (
    describe_data,
    describe_environment,
    require_plugins,
)
from aigc_core.api.recorder import RunRecorder
from aigc_core.api.tuning import tuned
from aigc_core.api.unchanged import RECORD, check_files
from aigc_core.config import Layer, RunConfig, resolve_config
from aigc_core.config.durations import duration
from aigc_core.config.layers import nest
from aigc_core.engine import Engine, FitResult, describe_device, renaming
from aigc_core.engine.device import check_device
from aigc_core.engine.distributed import current
from aigc_core.errors import (
    AigcError,
    ConfigError,
    Interrupted,
    PluginError,
    RunError,
    StopTraining,
    StorageError,
    TrainingError,
)
from aigc_core.files import relative_path, typed
from aigc_core.interfaces import SampleStore
from aigc_core.observers import default_observers
from aigc_core.observers.progress import Progress
from aigc_core.plugins import get_host
from aigc_core.plugins.blame import failure
from aigc_core.plugins.hooks import HookCaller
from aigc_core.runs import DatasetFacts, Run, check_free, create_run, load_checkpoint, new_run_path
from aigc_core.runs.checkpoint import TENSORS, Checkpoint
from aigc_core.runs.log import log_traceback
from aigc_core.runs.manifest import checkpoint_steps
from aigc_core.runs.record import Resumption, record_of
from aigc_core.workers import processes_here, started_processes

logger = logging.getLogger("aigc")
_DISK_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", None)}  # EDQUOT does not exist on Windows


class _New(NamedTuple):
    """A new run, and what it was made with."""

    run: Run
    assembly: Assembly
    facts: DatasetFacts
    notes: Sequence[str]


@dataclass
class Training:
    """A locked run that is ready to train."""

    run: Run
    engine: Engine
    hooks: HookCaller

    @classmethod
    @contextlib.contextmanager
    def start(
        cls,
        blueprint: Blueprint,
        out: str | Path | None = None,
        observers: Sequence[object] = (),
        progress: Progress | None = None,
        *,
        parents: Mapping[str, Given] | None = None,
        init_from: Given | None = None,
        strict_init: bool = False,
    ) -> Iterator[Training]:
        """Set up a new run; its folder is created last, so bad input leaves none behind."""
        hooks = HookCaller(blueprint.host.manager, [*default_observers(), *observers])
        new = cls._new(blueprint, out, progress, parents or {}, init_from, strict_init)
        with new.run.locked():
            engine = new.assembly.engine
            engine.add_observer(RunRecorder(new.run, new.assembly.modalities, hooks))
            yield cls._ready(new.run, engine, hooks, new.facts, new.notes, progress)

    @classmethod
    def prepare(
        cls,
        blueprint: Blueprint,
        out: str | Path | None = None,
        progress: Progress | None = None,
        *,
        nproc: int = 1,
        parents: Mapping[str, Given] | None = None,
        init_from: Given | None = None,
        strict_init: bool = False,
    ) -> Run:
        """Make a new run that ``nproc`` processes will train, each by resuming it."""
        new = cls._new(blueprint, out, progress, parents or {}, init_from, strict_init, nproc)
        return new.run

    @classmethod
    def _new(
        cls,
        blueprint: Blueprint,
        out: str | Path | None,
        progress: Progress | None,
        parents: Mapping[str, Given],
        init_from: Given | None,
        strict_init: bool,
        nproc: int | None = None,
    ) -> _New:
        """Make a new run; ``nproc`` is None if this process is going to train it."""
        path = Path(os.path.expanduser(out)) if out is not None else None
        if path is not None:
            check_free(path)
        host = blueprint.host
        _check_machine(blueprint.config, new=True)
        if nproc is not None:
            check_launch(blueprint.config.engine, nproc)
        origins = Origins.open(host, blueprint.recipe, parents, init_from, strict=strict_init)
        config = _with_absolute_root(blueprint.config)
        blueprint = Blueprint.of(host, config, origins.lineage)
        # Where others train, this only checks: no GPU's memory is taken from them.
        checked = blueprint if nproc is None else _on_the_cpu(blueprint)
        store, assembly = _assemble(checked, progress)
        facts, notes = describe_data(store, assembly.held_out), store.notes
        if origins.lineage.initial is not None:
            origins.lineage.initial.check_meanings(facts)
        assembly.engine.check_validation()
        if assembly.engine.open_privacy_account() is not None and (nproc or 1) > 1:
            raise ConfigError(
                "A private training (trainer.privacy) takes one process: leave --nproc out."
            )
        if nproc is None:
            blueprint, assembly = tuned(blueprint, store, assembly)
        del store  # if the engine has a copy on its device, do not keep another one here
        engine = assembly.engine
        kept = origins.files()
        config = origins.config(_with_steps(blueprint.config, engine), kept)
        record = record_of(config.to_dict(), facts.model_dump(mode="json"))
        environment = describe_environment(blueprint) | {RECORD: record.model_dump(mode="json")}
        run = _create(path, config, facts, environment, kept)
        if origins.lineage.initial is not None:
            origins.lineage.initial.report()
        return _New(run, assembly, facts, notes)

    @classmethod
    @contextlib.contextmanager
    def resume(
        cls,
        run: Run,
        settings: Mapping[str, Any],
        *,
        allow_changes: bool = False,
        keep_schedule: bool = False,
        observers: Sequence[object] = (),
        progress: Progress | None = None,
    ) -> Iterator[Training]:
        """Set up a run to be resumed; see ``aigc_core.resume``."""
        host, processes = get_host(), current()
        hooks = HookCaller(host.manager, [*default_observers(), *observers])
        with contextlib.ExitStack() as held:
            with processes.in_turn():
                if processes.first:
                    held.enter_context(run.locked())
                    run.remove_leftovers()
                require_plugins(host, run)
                checkpoint = load_checkpoint(run.checkpoints, logger.warning)
                edited = check_files(run, checkpoint, allow_changes=allow_changes)
                former = run.config["engine"].get("schedule_steps") or run.total_steps
                kept = {"engine.schedule_steps": former} if keep_schedule else {}
                config = _config_to_resume(run, {**settings, **kept})
                config = _without_old_ending(run, config, settings)
                _check_incomplete(run, config.engine.steps, checkpoint)
                _check_machine(config)
                blueprint = Blueprint.of(host, config, lineage_of(run, config))
                budget = None
                if checkpoint:
                    budget = budget_for(whole_header(run, config, checkpoint))
                store, assembly = _assemble(blueprint, progress, budget)
                engine, notes = assembly.engine, store.notes
                config = _with_steps(config, engine)
                _check_incomplete(run, config.engine.steps, checkpoint)
                facts = describe_data(store, assembly.held_out, like=run.dataset)
                del store
                if difference := run.dataset.difference(facts):
                    raise RunError(
                        f"The data is not what {run.path} was trained on: {difference}. "
                        "Start a new run, or restore the data."
                    )
                if checkpoint:
                    checkpoint.rename = renaming(engine.networks)
                    check_header(checkpoint.header(), engine.state().weights, checkpoint.path)
                    check_size(checkpoint.header(TENSORS), checkpoint.header(), checkpoint.path)
                    engine.load_state(checkpoint.state())
                    _check_time_left(run, engine)
                    _forget_a_lost_best(run, engine)
                    warn_of_jumps(run, engine, former)
                elif run.metrics.path.exists():
                    logger.warning(
                        "%s has no checkpoint yet: training starts from step 0.", run.path
                    )
                engine.check_validation()
                engine.open_privacy_account()
            if processes.first:
                environment = describe_environment(blueprint)
                if checkpoint:
                    warn_of_another_machine(run, engine, environment)
                else:
                    run.update_environment(environment)
                _write_down(run, config, engine.step, edited=edited)
                recorder = RunRecorder(run, assembly.modalities, hooks, resumed=True)
                recorder.redraw(engine)
                engine.add_observer(recorder)
            yield cls._ready(run, engine, hooks, facts, notes, progress)

    @classmethod
    def _ready(
        cls,
        run: Run,
        engine: Engine,
        hooks: HookCaller,
        facts: DatasetFacts,
        notes: Sequence[str],
        progress: Progress | None,
    ) -> Training:
        if progress is not None:
            engine.add_observer(progress)
        for note in notes:
            logger.info("Note: %s", note)
        ema = f", EMA {engine.config.ema}" if engine.ema else ""
        layout = ", channels_last" if engine.channels_last else ""
        standard = engine.config.standard
        logger.info(
            "Training %s on %s (%s samples) on %s, %s%s%s; %s steps of %d%s.",
            run.recipe,
            run.config["dataset"]["name"],
            f"{facts.count:,}",
            describe_device(engine.device),
            engine.precision,
            layout,
            ema,
            f"{engine.total_steps:,}",
            engine.samples_per_step,
            f", or until {standard}" if standard is not None else "",
        )
        if (account := engine.open_privacy_account()) is not None:
            say_how_private(account)
            if run.config.get("parents") or run.config.get("initial"):
                logger.warning(
                    "Epsilon is that of this training alone: what the runs that it is made from "
                    "learned of the same samples is not covered."
                )
        if engine.processes.size > 1:
            say_how_shared(engine)
        if engine.step:
            logger.info("Resuming from step %s.", f"{engine.step:,}")
        if engine.former_processes != engine.processes.size:
            say_of_another_number(engine)
        logger.info("Run: %s", relative_path(run.path))
        return cls(run, engine, hooks)

    def fit(self) -> None:
        """Train and, whatever happens, tell observers how it ended.

        Raises:
            Interrupted: a signal stopped training.
            AigcError: training failed; the traceback of an unexpected exception is in the run's
                log.
        """
        status, engine = "failed", self.engine
        try:
            result = engine.fit()
            status = "complete" if result.signal is None else "interrupted"
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                status = "interrupted"
            with contextlib.suppress(PluginError):  # with --strict: the first error is reported
                self._finish(status)
            explained = self._explained(error)
            if explained is error:
                raise
            raise explained from error
        self._finish(status)
        self._raise_if_stopped(result)

    def _finish(self, status: str) -> None:
        if not self.engine.processes.first:
            return
        step = self.engine.step
        with contextlib.suppress(StopTraining):  # training has already ended
            self.hooks.call("aigc_run_finished", run=self.run, step=step, status=status)

    @property
    def _resume_command(self) -> str:
        return f"aigc resume {typed(self.run.path)}"

    def _raise_if_stopped(self, result: FitResult) -> None:
        if result.signal is None:
            return
        message = (
            f"Stopped at step {result.step}; a checkpoint was written. "
            f"Resume with: {self._resume_command}"
        )
        raise Interrupted(message, result.signal, self.run)

    def _explained(self, error: BaseException) -> BaseException:
        """Return the exception to raise for ``error``: ``error`` itself if it is clear enough."""
        if isinstance(error, KeyboardInterrupt):
            message = (
                f"Stopped at once; the last checkpoint is of step {self.run.step}. "
                f"Resume with: {self._resume_command}"
            )
            return Interrupted(message, signal.SIGINT, self.run)
        if isinstance(error, StorageError):
            full = isinstance(error.__cause__, OSError) and error.__cause__.errno in _DISK_FULL
            first = "Make room" if full else "Fix that"
            logger.info("%s, then resume with: %s", first, self._resume_command)
        if not isinstance(error, Exception) or isinstance(error, AigcError):
            return error
        log_traceback(self.run, error)
        if isinstance(error, RuntimeError) and _is_out_of_memory(error):
            return TrainingError(
                f"Out of memory at step {self.engine.step}, with batches of "
                f"{self.engine.config.batch_size}. Set a smaller engine.batch_size, or "
                "engine.accumulate to split batches."
            )
        if isinstance(error, OSError):
            return error
        return failure(get_host(), error, f"training {self.run.recipe}")


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _check_machine(config: RunConfig, *, new: bool = False) -> None:
    """Check what can be checked before data is loaded, which may take long.

    Raises:
        ConfigError: the device is not available, there are more processes than GPUs, or each of
            several processes is about to make a run of its own.
    """
    check_device(config.engine.device, processes_here())
    if new and (count := started_processes()) > 1:
        raise ConfigError(
            f"This is one of {count} processes, as torchrun starts them, and each would make a run "
            "of its own. Make it in one process, with aigc train … --out RUN --no-start, and let "
            "torchrun start: -m aigc_core resume RUN. On one machine, aigc train … --nproc does "
            "both."
        )


def _on_the_cpu(blueprint: Blueprint) -> Blueprint:
    engine = blueprint.config.engine.model_copy(update={"device": "cpu"})
    config = blueprint.config.model_copy(update={"engine": engine})
    return Blueprint.of(blueprint.host, config, blueprint.lineage)


def _assemble(
    blueprint: Blueprint, progress: Progress | None, budget: Budget | None = None
) -> tuple[SampleStore, Assembly]:
    busy = progress.busy(f"Loading {blueprint.dataset.name}") if progress else None
    with busy or contextlib.nullcontext():
        store = blueprint.load()
        return store, blueprint.engine(store, budget)


def _create(
    path: Path | None,
    config: RunConfig,
    facts: DatasetFacts,
    environment: dict[str, Any],
    kept: Mapping[str, bytes],
) -> Run:
    """Create the folder; if no name was given, retry with a fresh one if another run takes it."""
    for attempt in range(10):
        target = path or new_run_path(config.recipe)
        try:
            return create_run(
                target,
                config=config.to_dict(),
                dataset=facts,
                environment=environment,
                kept=kept,
            )
        except (RunError, StorageError):
            if path is not None or attempt == 9 or not target.exists():
                raise
    raise AssertionError("unreachable")


def _with_steps(config: RunConfig, engine: Engine) -> RunConfig:
    """Replace ``epochs`` by the number of steps that they amount to."""
    changes = {"steps": engine.total_steps, "epochs": None}
    return config.model_copy(update={"engine": config.engine.model_copy(update=changes)})


def _with_absolute_root(config: RunConfig) -> RunConfig:
    """Make a given data folder absolute, so that the run can be resumed from anywhere."""
    if config.dataset.root is None:
        return config
    root = os.path.abspath(os.path.expanduser(config.dataset.root))
    return config.model_copy(update={"dataset": config.dataset.model_copy(update={"root": root})})


def _config_to_resume(run: Run, settings: Mapping[str, Any]) -> RunConfig:
    layers = [run.layer, Layer("given settings", nest(settings))]
    config = resolve_config(get_host(), run.recipe, layers=layers).config
    kept = {"preset": run.config.get("preset"), **references(run)}
    return _with_absolute_root(config.model_copy(update=kept))


def _check_incomplete(run: Run, total: int | None, checkpoint: Checkpoint | None) -> None:
    """Raise ``RunError`` if no step is left; ``total`` is None while it is not known yet."""
    step = checkpoint.step if checkpoint else 0
    if total is not None and step >= total:
        raise RunError(
            f"{run.path} is complete: step {step} of {total}. "
            f"Train on with: aigc resume {typed(run.path)} --steps {step * 2}"
        )


def _without_old_ending(run: Run, config: RunConfig, settings: Mapping[str, Any]) -> RunConfig:
    """Return the configuration without a limit that was reached, unless a new one is given.

    Raises:
        RunError: the run has ended, and no setting asks for more.
    """
    ending = run.ending
    if ending is None or ending.reason == "steps":
        return config
    more = {"steps", "epochs", "standard", "max_time"}
    asks_for_more = {key.split(".")[1] for key in settings} & more
    if not asks_for_more:
        limit = config.engine.max_time
        how = f"--steps {config.engine.steps}"
        if ending.reason == "time" and limit is not None:
            how = f"--max-time {duration(2 * limit)}"
        raise RunError(
            f"{run.path} is complete: it {ending.message}. Train on with: "
            f"aigc resume {typed(run.path)} {how}"
        )
    limits = {"standard": "standard", "time": "max_time"}
    reached = limits.get(ending.reason)
    if reached is not None and reached not in asks_for_more:
        logger.warning("The run %s; it is resumed without engine.%s.", ending.message, reached)
        without = config.engine.model_copy(update={reached: None})
        return config.model_copy(update={"engine": without})
    return config


def _check_time_left(run: Run, engine: Engine) -> None:
    """Raise ``RunError`` if the run has trained for its ``max_time`` already."""
    limit = engine.config.max_time
    if limit is not None and engine.train_seconds >= limit:
        spent = duration(engine.train_seconds)
        raise RunError(
            f"{run.path} has trained for {spent}, and engine.max_time={duration(limit)} is for the "
            f"whole training. Train on with: aigc resume {typed(run.path)} --max-time "
            f"{duration(2 * engine.train_seconds)}"
        )


def _write_down(run: Run, config: RunConfig, step: int, *, edited: bool) -> None:
    """Save the settings that a run is resumed with, if they changed or an ending is dropped."""
    before, ending, settings = run.resumption, run.ending, config.to_dict()
    dropped = before is not None and before.step == step and before.drops_ending
    if ending is not None or edited or settings != run.config:
        drops = dropped or ending is not None
        run.resume_with(Resumption(step=step, config=settings, drops_ending=drops))


def _forget_a_lost_best(run: Run, engine: Engine) -> None:
    """Forget the best validation if its checkpoint is gone; the next one then becomes the best.

    The checkpoint is gone if it was damaged, or if newer ones were damaged and training resumes
    from a step whose best was already removed.
    """
    if engine.best and engine.best.step not in checkpoint_steps(run.checkpoints):
        logger.warning("The best checkpoint, %s, is gone; the next one is found.", engine.best)
        engine.forget_best()

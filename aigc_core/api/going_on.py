"""Everything that is needed to go on with a run, made ready before its next step."""

from __future__ import annotations

import contextlib
import logging
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aigc_core.api.build import (
    describe_data,
    describe_environment,
    load_data,
    require_plugins,
    run_layer,
)
from aigc_core.api.fitting import budget_for, check_header, check_size
from aigc_core.api.prepare import Training, build_engine, with_absolute_root
from aigc_core.api.session import RunRecorder
from aigc_core.api.unchanged import check_files
from aigc_core.config import Layer, parse_standard, resolve_config
from aigc_core.config.layers import nest
from aigc_core.engine import Engine, EngineState
from aigc_core.errors import RunError, shown
from aigc_core.observers import default_observers
from aigc_core.plugins import get_host
from aigc_core.plugins.hooks import HookCaller
from aigc_core.runs import (
    Run,
    load_checkpoint,
)
from aigc_core.runs.checkpoint import TENSORS
from aigc_core.runs.manifest import checkpoint_steps
from aigc_core.runs.record import Resumption

logger = logging.getLogger("aigc")


@contextlib.contextmanager
def prepare_resume(
    run: Run,
    *,
    steps: int | None = None,
    until: str | None = None,
    data_root: str | None = None,
    device: str | None = None,
    allow_changes: bool = False,
    keep_schedule: bool = False,
    observers: Sequence[object] = (),
) -> Iterator[Training]:
    """Make everything to go on with a run; see ``resume``."""
    host = get_host()
    standard = parse_standard(until) if until is not None else {}
    overrides = {
        "engine.steps": steps,
        "engine.device": device,
        "dataset.root": data_root,
        **standard,
    }
    overrides = {key: value for key, value in overrides.items() if value is not None}
    require_plugins(host, run)
    hooks = HookCaller(host.manager, [*default_observers(), *observers])
    with run.locked():
        run.remove_leftovers()
        checkpoint = load_checkpoint(run.checkpoints, logger.warning)
        step = checkpoint.step if checkpoint else 0
        edited = check_files(run, checkpoint, allow_changes=allow_changes)
        former = run.config["engine"].get("schedule_steps") or run.total_steps
        if keep_schedule:
            overrides["engine.schedule_steps"] = former
        layers = [run_layer(run), Layer("overrides", nest(overrides))]
        config = resolve_config(host, run.recipe, layers=layers).config
        preset = {"preset": run.config.get("preset")}
        config = with_absolute_root(config.model_copy(update=preset))
        total = config.engine.steps
        if total is None:
            raise RunError(f"{run.path / 'config.yaml'} must give engine.steps, not epochs.")
        if step >= total:
            raise RunError(
                f"{run.path} is complete: step {step} of {total}. "
                f"Train on with: aigc resume {shlex.quote(str(run.path))} --steps {step * 2}"
            )
        ending = run.ending
        if ending is not None and ending.reason != "steps":
            if steps is None and until is None:
                raise RunError(
                    f"{run.path} is complete: it {ending.told}. "
                    f"Train on with: aigc resume {shlex.quote(str(run.path))} --steps {total}"
                )
            if ending.reason == "standard" and until is None:
                logger.warning("The run %s; it goes on without a standard.", ending.told)
                without = config.engine.model_copy(update={"standard": None})
                config = config.model_copy(update={"engine": without})
        store = load_data(host, config)
        budget = budget_for(checkpoint.header()) if checkpoint else None
        modality, engine, held_out = build_engine(host, config, store, budget)
        facts = describe_data(store, like=run.dataset).model_copy(update={"held_out": held_out})
        notes = store.notes
        if difference := run.dataset.difference(facts):
            raise RunError(
                f"The data is not what {run.path} was trained on: {difference}. "
                "Start a new run, or restore the data."
            )
        del store
        if checkpoint:
            check_header(checkpoint.header(), engine.state().weights, checkpoint.path)
            check_size(checkpoint.header(TENSORS), checkpoint.header(), checkpoint.path)
            engine.load_state(
                EngineState(checkpoint.weights, checkpoint.tensors, checkpoint.scalars)
            )
            _forget_a_lost_best(run, engine)
            _warn_of_jumps(run, engine, former, total)
        else:
            logger.warning("%s has no checkpoint yet: training starts from step 0.", run.path)
        engine.check_validation()
        _warn_of_another_machine(run, engine, describe_environment(host, config))
        before = run.resumption
        dropped = before is not None and before.step == step and before.drops_ending
        settings = config.to_dict()
        if ending is not None or edited or settings != run.config:
            run.resume_with(
                Resumption(step=step, config=settings, drops_ending=dropped or ending is not None)
            )
        recorder = RunRecorder(run, modality, hooks, resumed=True)
        recorder.redraw(engine)
        engine.add_observer(recorder)
        yield Training(run, engine, hooks, facts.count, notes)


def _forget_a_lost_best(run: Run, engine: Engine) -> None:
    """Let the next validation be the best where the checkpoint of the last one is gone.

    That is so where it was damaged, or the newest ones were and an older best was already removed.
    """
    if engine.best and engine.best.step not in checkpoint_steps(run.checkpoints):
        logger.warning("The best checkpoint, %s, is gone; the next one is found.", engine.best)
        engine.forget_best()


def _warn_of_jumps(run: Run, engine: Engine, former: int, total: int) -> None:
    """Say where the rate jumps up because the schedule now ends later, and the other way."""
    for phase, last, now in engine.schedule_jumps(former):
        logger.warning(
            "The learning rate of '%s' was %.3g and jumps to %.3g: its schedule ended at step %s "
            "and now ends at %s. To keep the rate that it ended with: aigc resume %s --steps %d "
            "--keep-schedule",
            phase,
            last,
            now,
            f"{former:,}",
            f"{total:,}",
            shlex.quote(str(run.path)),
            total,
        )


def _warn_of_another_machine(run: Run, engine: Engine, now: Mapping[str, Any]) -> None:
    """Say what keeps the result from being the same to the bit as without the interruption."""
    try:
        started = run.environment
    except RunError as error:
        logger.warning("%s What the run was started on is not known.", error)
        return
    plugins = {key: value for key, value in now["plugins"].items() if key in _needed(now)}
    before, after = dict(started), {**now, **plugins}
    if isinstance(started.get("plugins"), dict):
        before |= started["plugins"]
    names = ["torch", "device", "precision", "threads", "cpu", "aigc_core", *plugins]
    changed = [
        f"{name} was {shown(before[name])} and is {shown(after[name])}"
        for name in names
        if name in before and before[name] != after[name]
    ]
    if changed:
        logger.warning(
            "%s was started on something else: %s. The result can differ in rounding.",
            run.path,
            "; ".join(changed),
        )
    if engine.device.type == "cuda" and not engine.config.deterministic:
        logger.warning("Without engine.deterministic, results of a GPU differ in rounding.")


def _needed(environment: Mapping[str, Any]) -> set[str]:
    """Return the distributions that a run is made of."""
    return {need["distribution"] or need["plugin"] for need in environment["needs"].values()}

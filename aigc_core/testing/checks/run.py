"""Promises of recipes about whole trainings: as a user runs them, and in a separate process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import safetensors.torch

from aigc_core.runs import Run
from aigc_core.testing.checks.check import Checks, fail_unless
from aigc_core.testing.checks.dataset import check_written
from aigc_core.testing.checks.training import check_same
from aigc_core.testing.process.tasks import outcome, train_and_generate
from aigc_core.testing.recipe_subject import STEPS, RecipeSubject

CHECKS = Checks()


@CHECKS.recipe()
def trains(recipe: RecipeSubject) -> None:
    """``aigc_core.train`` completes a run, and ``generate`` writes files.

    This tests all parts together, as a user meets them.
    """
    _ = recipe.config
    with _warnings() as logged:
        run, files = train_and_generate(recipe, recipe.folder / "trained" / "run")
    more = f" The log says: {logged[-1].rstrip('.')}." if logged else ""
    fail_unless(
        run.status == "complete" and run.step == STEPS,
        f"After {STEPS} steps the run is {run.status}, with a checkpoint of step {run.step}.{more}",
    )
    for problem in _incomplete(run):
        fail_unless(False, f"The run's folder {problem}.{more}")
    for path in files:
        fail_unless(
            path.is_file() and path.stat().st_size,
            f"generate wrote no {path.name}, or an empty one.{more}",
        )


def _incomplete(run: Run) -> Iterator[str]:
    for name in ("config.yaml", "dataset.json", "environment.json", "metrics.jsonl"):
        if not (run.path / name).is_file():
            yield f"has no {name}"
    logged = [line.get("step") for line in run.metrics.read()]
    if logged != list(range(1, STEPS + 1)):
        yield f"has metrics of the steps {logged}, not of 1 to {STEPS}"
    preview = run.latest_preview
    if preview is None or not preview.stat().st_size:
        yield "has no preview of samples"
    elif not preview.name.startswith(f"step-{STEPS:06d}."):
        yield f"has {preview.name} for the preview of step {STEPS}"


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """Collect the core's warnings inside the block."""
    logged: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: logged.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("aigc")
    logger.addHandler(handler)
    try:
        yield logged
    finally:
        logger.removeHandler(handler)


@CHECKS.recipe()
def spawned_process(recipe: RecipeSubject) -> None:
    """A separate process builds, trains and samples with the same bits as this one.

    Every process of a distributed training starts like that, without the global state that imports
    have set up here.
    """
    theirs = safetensors.torch.load_file(recipe.plugin.answer(recipe.label)["outcome"])
    what = "A process of its own comes to something else than this one after a step"
    check_same(outcome(recipe), theirs, what)


@CHECKS.recipe()
def writes_only_in_its_folder(recipe: RecipeSubject) -> None:
    """Training and generating write only to the run's folder and the cache.

    Deleting a run's folder must delete all of it.
    """
    check_written(recipe.plugin.answer(recipe.label), "Training and generating")

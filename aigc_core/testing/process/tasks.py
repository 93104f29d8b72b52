"""What the separate process does for the checks that need one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from aigc_core.api import generate_files
from aigc_core.api.evaluation import rows_as_inputs
from aigc_core.plugins import use_host
from aigc_core.runs import Run
from aigc_core.testing.process.audit import WriteAudit
from aigc_core.testing.process.hosts import make_host
from aigc_core.testing.process.isolation import own_folders
from aigc_core.testing.recipe_subject import RecipeSubject
from aigc_core.testing.results import CheckFailed, describe
from aigc_core.testing.stores import digests_of
from aigc_core.testing.subjects import DatasetSubject, PluginSubject

SEED = 5


def do_tasks(job: dict[str, Any], say: Callable[[str, dict[str, Any]], None]) -> None:
    """Do each task of a job and report what was found; an error does not stop the others.

    Args:
        job: ``plugins`` and ``plugin`` as for ``make_host``, ``tasks`` as labels of datasets and
            recipes, ``threads`` and ``folder``.
        say: called with a task and what was found: the files ``written`` where they should not be,
            and the file of a recipe's ``outcome`` or the ``digests`` of a dataset's splits; or an
            ``error``.
    """
    torch.set_num_threads(job["threads"])
    folder = Path(job["folder"])
    audit = WriteAudit()
    with own_folders(folder), audit.outside(folder / "cache") as at_import:
        try:
            host = make_host(job["plugins"])
        except CheckFailed as error:
            for task in job["tasks"]:
                say(task, {"error": describe(error)})
            return
    plugin = PluginSubject(host, job["plugin"], folder)
    subjects: dict[str, DatasetSubject | RecipeSubject] = {d.label: d for d in plugin.datasets}
    subjects |= {recipe.label: recipe for recipe in plugin.recipes}
    for number, task in enumerate(job["tasks"]):
        work = folder / f"task-{number}"
        work.mkdir()
        try:
            with use_host(host), own_folders(folder), contextlib.chdir(work):
                found = _do(subjects[task], folder, audit)
            # Writes by C libraries are not seen, so look where they usually go.
            found["written"] += [f"{path} (in the current folder)" for path in work.iterdir()]
            found["written"] += at_import  # import-time writes, with the first task
            at_import = []
        except (Exception, SystemExit) as error:
            found = {"error": describe(error)}
        say(task, found)


def _do(subject: DatasetSubject | RecipeSubject, folder: Path, audit: WriteAudit) -> dict[str, Any]:
    cache = folder / "cache"
    if isinstance(subject, DatasetSubject):
        with audit.outside(cache) as written:
            made = subject.make(cache)
            made.prepare()
            digests = {split: digests_of(made.load(split)) for split in subject.spec.splits}
        return {"written": written, "digests": digests}
    runs = subject.folder / "runs"
    runs.mkdir()
    _ = subject.parents  # trained before anything is watched
    with audit.outside(cache, runs) as written:
        train_and_generate(subject, runs / "run")
    file = subject.folder / "outcome.safetensors"
    safetensors.torch.save_file(outcome(subject), file)
    return {"written": written, "outcome": str(file)}


def train_and_generate(recipe: RecipeSubject, folder: Path) -> tuple[Run, list[Path]]:
    """Train the tiny recipe and draw samples, as a user does; return the run and the files."""
    run = recipe.train(folder)
    generator, rows = recipe.parts.trainer.generator(), torch.arange(3)
    inputs = rows_as_inputs(generator, recipe.store, rows)
    generated = generate_files(run, count=3, device="cpu", inputs=inputs)
    return run, [*generated.files, *generated.previews.values()]


def outcome(recipe: RecipeSubject) -> dict[str, Tensor]:
    """Return the weights after a step, and samples: what must be the same in every process."""
    engine = recipe.engine()
    engine.fit(until_step=1)
    tensors = {name: tensor.clone() for name, tensor in engine.state().weights.items()}
    return tensors | engine.sample_columns(2, seed=SEED)

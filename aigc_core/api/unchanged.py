"""Checks that a run's files are unchanged since its checkpoint was written."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from aigc_core.errors import RunError
from aigc_core.runs import Run
from aigc_core.runs.checkpoint import Checkpoint
from aigc_core.runs.record import (
    Resumption,
    RunRecord,
    config_changes,
    dataset_changes,
    listed,
)

logger = logging.getLogger("aigc")

RECORD = "run"
"""The key under which a checkpoint's scalars and ``environment.json`` keep the record."""


def check_files(run: Run, checkpoint: Checkpoint | None, *, allow_changes: bool) -> bool:
    """Compare a run's files with what its checkpoint recorded, before the run is resumed.

    If an earlier resume was killed before it wrote its new settings, they are written now.

    Args:
        run: the run, locked.
        checkpoint: the checkpoint to resume from; None if there is none yet.
        allow_changes: accept the files as they are, and warn of the changes.

    Returns:
        Whether there are changes, which were allowed.

    Raises:
        RunError: there are changes that are not allowed; the message lists them. Or the record is
            damaged.
    """
    source = checkpoint.scalars if checkpoint else run.environment
    record = read_record(source, run)
    if record is None:
        return False
    step = checkpoint.step if checkpoint else 0
    _complete(run, record, step)
    changes = _changes(run, record, run.resumption, step)
    _check_metrics(run, record, step)
    if not changes:
        return False
    since = f"since its checkpoint of step {step} was written" if checkpoint else "since it began"
    if not allow_changes:
        raise RunError(
            f"{run.path} was changed {since}: {listed(changes)}. Put that back; or, to resume with "
            f"these changes: aigc resume {shlex.quote(str(run.path))} --allow-changes"
        )
    logger.warning("%s was changed %s, which is allowed: %s.", run.path, since, listed(changes))
    return True


def sampling_changes(run: Run, record: RunRecord) -> list[str]:
    """Return the changes that affect samples: to the model, or to how samples are read."""
    keys = ("recipe", "model", "dataset.name", "dataset.options")
    found = config_changes(record.config, run.config)
    matter = [change for change in found if change.startswith(keys)]
    now = run.dataset.model_dump(mode="json")
    read = {"spec", "label_names"}
    before = {name: digest for name, digest in record.dataset.items() if name in read}
    fields = dataset_changes(before, {name: now[name] for name in read})
    return matter + [f"in dataset.json, {change}" for change in fields]


def read_record(source: Mapping[str, Any], run: Run) -> RunRecord | None:
    """Return the record; None for a run of version 0.1, which kept none.

    Raises:
        RunError: the record is malformed.
    """
    found = source.get(RECORD)
    if found is None:
        return None
    try:
        return RunRecord.model_validate(found)
    except ValidationError as error:
        place = ".".join(map(str, (RECORD, *error.errors()[0]["loc"])))
        raise RunError(f"What {run.path} says of its own files is damaged, at '{place}'.") from None


def _complete(run: Run, record: RunRecord, step: int) -> None:
    """Write the settings of an earlier resume that was killed before it wrote them."""
    decided = run.resumption
    if decided is None or decided.step != step or decided.config == run.config:
        return
    if not config_changes(record.config, run.config):
        changes = listed(config_changes(run.config, decided.config))
        logger.warning("The last resume of %s was cut off; it is completed: %s.", run.path, changes)
        run.update_config(decided.config)


def _changes(run: Run, record: RunRecord, decided: Resumption | None, step: int) -> list[str]:
    known = [record.config]
    if decided is not None and decided.step >= step:
        known.append(decided.config)
    changes = config_changes(known[-1], run.config)
    if not config_changes(record.config, run.config):
        changes = []
    fields = dataset_changes(record.dataset, run.dataset.model_dump(mode="json"))
    return changes + [f"in dataset.json, {change}" for change in fields]


def _check_metrics(run: Run, record: RunRecord, step: int) -> None:
    """Only warn if the metrics so far have changed: they are worth less than the training."""
    if record.metrics is not None and run.metrics.record(step) != record.metrics:
        logger.warning(
            "%s is not what it was when the checkpoint was written: lines are damaged or missing. "
            "What can be read of it is kept.",
            run.metrics.path,
        )

"""How near a run's samples come to its data."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aigc_core.api.provenance import split_difference
from aigc_core.api.request import Given, Request
from aigc_core.api.sampler import Sampler, open_sampler
from aigc_core.engine import derive_seed
from aigc_core.engine.order import permuted
from aigc_core.errors import ConfigError, StorageError, did_you_mean
from aigc_core.interfaces import SampleStore
from aigc_core.runs import Run
from aigc_core.runs.inside import append_text

logger = logging.getLogger("aigc")
FILE_NAME = "evaluations.jsonl"


@dataclass(frozen=True)
class Evaluation:
    """What ``evaluate`` found."""

    step: int
    count: int
    seed: int
    split: str
    metrics: dict[str, float]
    """By ``<metric>/<value>``."""


def evaluate(
    run: Run | str | Path,
    *,
    metrics: Sequence[str] = (),
    count: int = 1000,
    seed: int = 0,
    split: str | None = None,
    checkpoint: str | int | None = None,
    overrides: Mapping[str, Any] | None = None,
    data_root: str | Path | None = None,
    device: str = "auto",
) -> Evaluation:
    """Compare samples of a run with as many of its data.

    The result is also appended to ``evaluations.jsonl`` in the run's folder.

    Args:
        run: a run or the path of one.
        metrics: names; none for all that fit the run's modality.
        count: how many samples; fewer where the data has fewer.
        seed: of the generated samples and of the choice of real ones.
        split: of the data; None for ``test`` where there is one, else the first.
        checkpoint: ``"best"``, or the step of one that was kept; None for the newest.
        overrides: settings by dotted key that are not the run's own, such as the dataset's options.
        data_root: where the data is now, if it was moved.
        device: as for training.

    Raises:
        UserError: a run, metric, split or number that is not valid.
        DataError: the data is not there.
    """
    asked = Request(count=count, seed=seed)
    sampler = open_sampler(
        run, checkpoint=checkpoint, overrides=overrides, data_root=data_root, device=device
    )
    chosen_metrics = sampler.blueprint.metrics(metrics, sampler.modality)
    data = sampler.blueprint.dataset
    if split is not None and split not in data.splits:
        raise ConfigError(
            f"The dataset '{data.name}' has no split '{split}'.{did_you_mean(split, data.splits)}"
        )
    split = split or ("test" if "test" in data.splits else data.splits[0])
    store = sampler.blueprint.load(split)
    if difference := split_difference(sampler.facts, store, split):
        raise ConfigError(
            f"The data is not what {sampler.run.path} was trained on: {difference}. Restore it, or "
            "say with --data-root where it is."
        )
    if not len(store):
        raise ConfigError(f"The split '{split}' of '{data.name}' is empty, as it was configured.")
    asked = dataclasses.replace(asked, count=min(count, len(store)))
    order_seed = derive_seed(seed, "evaluation")  # no permutation of billions of windows is made
    indices = torch.arange(asked.count)
    chosen = permuted(indices, len(store), order_seed).sort().values
    asked = dataclasses.replace(asked, inputs=_of_rows(sampler, store, chosen))
    real, generated = store.arrays["samples"][chosen], sampler.samples(asked)
    found = chosen_metrics.compare(real, generated)
    result = Evaluation(sampler.step, asked.count, seed, split, found)
    try:
        _append(sampler.run, result)
    except StorageError as error:  # the result is there, and took its time
        logger.warning("%s", error)
    return result


def _of_rows(sampler: Sampler, store: SampleStore, rows: Tensor) -> dict[str, Given]:
    """Return what rows of the data would ask the generator for besides a class each in turn."""
    conditions = sampler.generator.conditions
    if not any(condition.column in store.columns for condition in conditions.values()):
        return {}
    return {
        name: store.arrays[condition.column][rows % len(store.arrays[condition.column])]
        for name, condition in conditions.items()
        if condition.column != "samples" and condition.column in store.arrays
    }


def to_json(result: Evaluation) -> dict[str, Any]:
    """Return plain data; a number that is not finite becomes None, since JSON has none."""
    finite = {n: v if math.isfinite(v) else None for n, v in result.metrics.items()}
    return {**vars(result), "metrics": finite}


def _append(run: Run, result: Evaluation) -> None:
    row: dict[str, Any] = to_json(result)
    append_text(run.path / FILE_NAME, json.dumps(row) + "\n")

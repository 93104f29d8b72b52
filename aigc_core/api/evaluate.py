"""How near a run's samples come to its data."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from aigc_core.api.build import describe_data, describe_held_out, load_data
from aigc_core.api.metrics import choose_metrics, compare
from aigc_core.api.sampler import Sampler, check_count
from aigc_core.engine import derive_seed
from aigc_core.engine.permutation import permuted
from aigc_core.errors import ConfigError, StorageError, did_you_mean
from aigc_core.interfaces import SampleStore
from aigc_core.plugins import get_host
from aigc_core.runs import DatasetFacts, Run
from aigc_core.runs.facts import array_difference
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
    data_root: str | None = None,
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
        data_root: where the data is now, if it was moved.
        device: as for training.

    Raises:
        UserError: a run, metric, split or number that is not valid.
        DataError: the data is not there.
    """
    host = get_host()
    sampler = Sampler(run, device, checkpoint, data_root)
    modality_name = host.recipe(sampler.config.recipe).modality
    modality = sampler.parts.modality
    specs = choose_metrics(host, metrics, modality_name, modality)
    data = host.dataset(sampler.config.dataset.name, modality_name)
    if split is not None and split not in data.splits:
        raise ConfigError(
            f"The dataset '{data.name}' has no split '{split}'.{did_you_mean(split, data.splits)}"
        )
    split = split or ("test" if "test" in data.splits else data.splits[0])
    store = load_data(host, sampler.config, split)
    if difference := _difference(sampler.facts, store, split):
        raise ConfigError(
            f"The data is not what {sampler.run.path} was trained on: {difference}. Restore it, or "
            "say with --data-root where it is."
        )
    if not len(store):
        raise ConfigError(f"The split '{split}' of '{data.name}' is empty, as it was configured.")
    count = min(count, len(store))
    check_count(count, seed)
    order_seed = derive_seed(seed, "evaluation")  # no permutation of billions of windows is made
    chosen = permuted(torch.arange(count), len(store), order_seed).sort().values
    generated = torch.cat(list(sampler.draw(count, seed)))
    real = store.arrays["samples"][chosen]
    found: dict[str, float] = {}
    for spec in specs:
        found |= compare(host, spec, real, generated, modality)
    result = Evaluation(sampler.step, count, seed, split, found)
    try:
        _append(sampler.run, result)
    except StorageError as error:  # the result is there, and took its time
        logger.warning("%s", error)
    return result


def _difference(facts: DatasetFacts, store: SampleStore, split: str) -> str | None:
    """Say in what a split is not the run's data, as far as the run knows it, or return None."""
    if split == "train":
        return facts.difference(describe_data(store, like=facts))
    if store.spec != facts.spec:
        return f"a sample of the split '{split}' is {store.spec} and was {facts.spec}"
    if "labels" in store.arrays and store.label_names != facts.label_names:
        return f"the classes of the split '{split}' have other names, or another order"
    if split not in facts.held_out:
        return None
    found = array_difference(facts.held_out[split], describe_held_out(store))
    return None if found is None else f"in the split '{split}', {found}"


def to_json(result: Evaluation) -> dict[str, Any]:
    """Return plain data; a number that is not finite becomes None, since JSON has none."""
    finite = {n: v if math.isfinite(v) else None for n, v in result.metrics.items()}
    return {**vars(result), "metrics": finite}


def _append(run: Run, result: Evaluation) -> None:
    row: dict[str, Any] = to_json(result)
    append_text(run.path / FILE_NAME, json.dumps(row) + "\n")

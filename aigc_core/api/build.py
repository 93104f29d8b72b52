"""From names in a configuration to the objects that they mean."""

from __future__ import annotations

import contextlib
import datetime
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch

from aigc_core._version import __version__
from aigc_core.api.fitting import Budget
from aigc_core.config import Layer, RunConfig, cache_folder, data_root
from aigc_core.engine import choose_device, choose_precision, derive_seed, isolated_rng
from aigc_core.errors import DataError, PluginError, RunError
from aigc_core.interfaces import (
    DataFolders,
    Dataset,
    Modality,
    RecipeContext,
    SampleSpec,
    SampleStore,
    Trainer,
)
from aigc_core.plugins import PluginHost
from aigc_core.runs import DatasetFacts, Run
from aigc_core.runs.digest import array_digests, legacy_digest, text_digest

_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")  # PEP 508


@dataclass(frozen=True)
class Parts:
    """What a run is made of."""

    modality: Modality
    trainer: Trainer


def build_parts(
    host: PluginHost,
    config: RunConfig,
    spec: SampleSpec,
    label_count: int,
    budget: Budget | None = None,
) -> Parts:
    """Make the modality and the trainer; weights follow from ``engine.seed``, on any device.

    Args:
        host: knows the plugins.
        config: of the run.
        spec: of the samples.
        label_count: how many classes there are.
        budget: what networks may take whose weights are known; None for a new run.

    Raises:
        RunError: more than the budget.
        PluginError: the plugin's code cannot be loaded or is not what it should be.
        ConfigError: settings that the recipe cannot build.
    """
    recipe = host.recipe(config.recipe)
    modality_spec = host.modality(recipe.modality)
    owner = host.owner("modality", recipe.modality)
    modality = host.resolve(modality_spec.code, owner)(spec)
    _expect(modality, Modality, modality_spec.code, owner)
    owner = host.owner("recipe", recipe.name)
    build = host.resolve(recipe.build, owner)
    context = RecipeContext(config.model, config.trainer, modality.sample_shape, spec, label_count)
    seed = derive_seed(config.engine.seed, "weights")
    with isolated_rng(torch.device("cpu"), seed), budget or contextlib.nullcontext():
        trainer = build(context)
    _expect(trainer, Trainer, recipe.build, owner)
    return Parts(modality, trainer)


def check_model_form(host: PluginHost, parts: Parts, recipe: str, store: SampleStore) -> None:
    """Check what networks will see against what the modality declares, before the first step.

    Raises:
        PluginError: ``to_model`` gives another shape or type; a loss that broadcasts might train
            on it without a word.
    """
    modality = parts.modality
    found = modality.to_model(store.arrays["samples"][:2])
    expected = (len(store.arrays["samples"][:2]), *modality.sample_shape)
    if tuple(found.shape) == expected and found.dtype == modality.sample_dtype:
        return
    name = host.recipe(recipe).modality
    raise PluginError(
        f"The modality '{name}' of the plugin '{host.owner('modality', name)}' gives networks "
        f"{found.dtype} of the shape {tuple(found.shape)}, and declares {modality.sample_dtype} of "
        f"{expected}. Correct its to_model, sample_shape or sample_dtype; see: "
        f"aigc plugins check {host.owner('modality', name)}"
    )


def run_layer(run: Run) -> Layer:
    """Return a run's whole configuration as one layer."""
    sections = ("dataset", "model", "trainer", "engine")
    missing = [key for key in sections if key not in run.config]
    if missing:
        raise RunError(f"{run.path / 'config.yaml'} lacks the section '{missing[0]}'.")
    return Layer(str(run.path), {key: run.config[key] for key in sections})


def load_data(host: PluginHost, config: RunConfig, split: str = "train") -> SampleStore:
    """Prepare and load the configured dataset.

    Raises:
        DataError: it cannot be found, downloaded, trusted or read.
    """
    spec = host.dataset(config.dataset.name, host.recipe(config.recipe).modality)
    owner = host.owner("dataset", spec.name)
    named = config.dataset.root
    root = data_root(named) if named or not spec.embedded else None
    folders = DataFolders(root, cache_folder())
    dataset = host.resolve(spec.code, owner)(config.dataset.options, folders)
    _expect(dataset, Dataset, spec.code, owner)
    try:
        dataset.prepare()
        store = cast(SampleStore, dataset.load(split))
    except (OSError, MemoryError) as error:
        raise DataError(f"The dataset '{spec.name}' could not be loaded: {error}.") from error
    if split == "train" and not len(store):
        raise DataError(f"The dataset '{spec.name}' has no sample to train on.")
    return store


class HeldOut(NamedTuple):
    """Data that is not trained on."""

    split: str
    store: SampleStore


def load_held_out(
    host: PluginHost, config: RunConfig, spec: SampleSpec, label_names: tuple[str, ...]
) -> HeldOut | None:
    """Return the split ``validation``, else ``test``, or None without either.

    A split that is there and empty, as it was configured, is taken for none.

    Raises:
        DataError: as for ``load_data``, or its samples or classes are not those trained on.
    """
    recipe = host.recipe(config.recipe)
    splits = host.dataset(config.dataset.name, recipe.modality).splits
    split = next((name for name in ("validation", "test") if name in splits), None)
    if split is None:
        return None
    store = load_data(host, config, split)
    if store.spec != spec:
        raise DataError(
            f"The split '{split}' of '{config.dataset.name}' holds {store.spec}, and the training "
            f"data {spec}."
        )
    if "labels" in store.arrays and store.label_names != label_names:
        raise DataError(
            f"The split '{split}' of '{config.dataset.name}' has the classes "
            f"{list(store.label_names)}, and the training data {list(label_names)}: the same label "
            "would mean two things."
        )
    return HeldOut(split, store) if len(store) else None


def describe_data(store: SampleStore, like: DatasetFacts | None = None) -> DatasetFacts:
    """Return what a run remembers of its data: digests of every array, names and order.

    Args:
        store: what was loaded.
        like: facts that these are to be compared with; those of a run of version 0.1 know only
            another digest of the samples, which is then computed, too.
    """
    old = like is not None and not like.digests
    return DatasetFacts(
        spec=store.spec,
        count=len(store),
        label_names=store.label_names,
        digest=legacy_digest(store.arrays["samples"]) if old else None,
        digests=array_digests(store.arrays),
    )


def describe_held_out(store: SampleStore) -> dict[str, str]:
    """Return what a run remembers of the data that its validations measure on."""
    names = {"label_names": text_digest(store.label_names)} if store.label_names else {}
    return array_digests(store.arrays) | names


def describe_environment(host: PluginHost, config: RunConfig) -> dict[str, Any]:
    """Return versions and machine, as JSON data."""
    device = choose_device(config.engine.device)
    return {
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "aigc_core": __version__,
        "plugins": {
            s.distribution or s.name: s.version
            for s in host.statuses.values()
            if s.state == "active"
        },
        "needs": _needed_plugins(host, config),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "device": str(device),
        "precision": choose_precision(config.engine.precision, device),
        "threads": torch.get_num_threads(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "commit": _commit(),
        "command": sys.argv,
    }


def _needed_plugins(host: PluginHost, config: RunConfig) -> dict[str, Any]:
    """Return which plugin brought what the run is made of."""
    recipe = host.recipe(config.recipe)
    owners = {
        "recipe": host.owner("recipe", recipe.name),
        "modality": host.owner("modality", recipe.modality),
        "dataset": host.owner("dataset", config.dataset.name),
    }
    return {
        what: {"plugin": name, "distribution": host.statuses[name].distribution}
        for what, name in owners.items()
    }


def require_plugins(host: PluginHost, run: Run) -> None:
    """Check that what a run is made of is there.

    Raises:
        PluginError: it is not; names the plugin that the run was made with, and what would bring
            it back. Where ``environment.json`` does not tell, whoever looks the name up does.
    """
    dataset = run.config.get("dataset")
    names = {"recipe": run.recipe, "modality": run.recipe.split("/")[0]}
    if isinstance(dataset, dict) and isinstance(dataset.get("name"), str):
        names["dataset"] = dataset["name"]
    tables: dict[str, Mapping[str, object]] = {
        "recipe": host.recipes,
        "modality": host.modalities,
        "dataset": host.datasets,
    }
    try:
        needs = dict(run.environment.get("needs") or {})
    except (RunError, TypeError, ValueError):
        return
    for what, name in names.items():
        plugin = needs.get(what)
        if name in tables[what] or not isinstance(plugin, dict):
            continue
        needed = f"{run.path} needs the {what} '{name}'"
        distribution = plugin.get("distribution")
        there = [s for s in host.statuses.values() if s.distribution == distribution]
        for status in there:
            if status.state != "active":
                raise PluginError(
                    f"{needed} of the plugin '{status.name}', which is not active. "
                    f"{status.what_to_do}"
                )
        # A run's folder may come from anybody, and what is said here gets typed.
        known = isinstance(distribution, str) and _DISTRIBUTION.fullmatch(distribution)
        if known and not there:
            raise PluginError(
                f"{needed} of the plugin {distribution}, which is not installed. Install it with: "
                f"aigc plugins install {distribution}"
            )


def _commit() -> str | None:
    """Return the commit of the core's own checkout, if it runs from one."""
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return None
    command = ["git", "-C", os.fspath(folder), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _expect(found: object, kind: type, reference: str, owner: str) -> None:
    if not isinstance(found, kind):
        raise PluginError(
            f"The plugin '{owner}' names {reference}, which gave a {type(found).__name__}, "
            f"not a {kind.__name__}."
        )

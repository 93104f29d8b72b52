"""From names in a configuration to the objects that they mean."""

from __future__ import annotations

import datetime
import hashlib
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from aigc_core._version import __version__
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

_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")  # PEP 508
_DIGEST_BYTES = 1 << 30  # hashing a gigabyte takes about a second


@dataclass(frozen=True)
class Parts:
    """What a run is made of."""

    modality: Modality
    trainer: Trainer


def build_parts(host: PluginHost, config: RunConfig, spec: SampleSpec, label_count: int) -> Parts:
    """Make the modality and the trainer; weights follow from ``engine.seed``, on any device.

    Raises:
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
    with isolated_rng(torch.device("cpu"), seed):
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


def load_held_out(
    host: PluginHost, config: RunConfig, spec: SampleSpec
) -> Mapping[str, Tensor] | None:
    """Return the arrays of the split ``validation``, else ``test``, or None without either.

    A split that is there and empty, as it was configured, is taken for none.

    Raises:
        DataError: as for ``load_data``, or its samples are not like those trained on.
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
    return store.arrays if len(store) else None


def describe_data(store: SampleStore) -> DatasetFacts:
    """Return what a run remembers of its data."""
    samples = _without_overlap(store.arrays["samples"])
    if samples.numel() * samples.element_size() > _DIGEST_BYTES:  # some, evenly spread
        samples = samples[:: max(1, len(samples) // 1024)]
    digest = hashlib.blake2b(samples.contiguous().numpy().data, digest_size=16).hexdigest()
    return DatasetFacts(
        spec=store.spec, count=len(store), label_names=store.label_names, digest=digest
    )


def _without_overlap(samples: Tensor) -> Tensor:
    """Return windows of one long tensor, ``(N, length)``, as that tensor; others as they are."""
    if samples.dim() != 2 or samples.stride(1) != 1 or samples.stride(0) >= samples.shape[1]:
        return samples
    length = (len(samples) - 1) * samples.stride(0) + samples.shape[1]
    return samples.as_strided((length,), (1,), samples.storage_offset())


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

"""Shows a dataset as networks will see it, before anything is trained on it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from aigc_core.api.blueprint import Blueprint
from aigc_core.config import Layer, given_settings, resolve_config
from aigc_core.config.layers import nest
from aigc_core.engine import derive_seed
from aigc_core.engine.order import permuted
from aigc_core.errors import ConfigError, PluginError, StorageError, did_you_mean, reason
from aigc_core.interfaces import SampleSpec
from aigc_core.plugins import PluginHost, get_host


@dataclass(frozen=True)
class DatasetPreview:
    """What ``preview_dataset`` found and wrote."""

    path: Path
    """The modality's preview of some samples; there may be a sound file next to a picture."""
    count: int
    """Number of samples in the split."""
    spec: SampleSpec
    labels: Mapping[str, int]
    """Number of samples by class name; empty if there are no labels."""
    notes: tuple[str, ...]
    """Oddities found in the data, one sentence each."""


def preview_dataset(
    name: str,
    *,
    out: str | Path,
    recipe: str | None = None,
    split: str = "train",
    count: int = 64,
    seed: int = 0,
    overrides: Mapping[str, Any] | None = None,
    data_root: str | Path | None = None,
) -> DatasetPreview:
    """Load a dataset and write a preview of randomly chosen samples.

    Each goes through the modality's ``to_model`` and back, so the preview shows what networks see.

    Args:
        name: the dataset's name.
        out: path of the preview without a suffix, which the modality adds.
        recipe: as for ``train``; needed only if it cannot be derived from the dataset's name.
        split: one of the splits that the dataset declares.
        count: number of samples to show; fewer if the split has fewer.
        seed: seed of the choice of samples.
        overrides: settings by dotted key, such as ``{"dataset.options.size": 64}``.
        data_root: folder to read data from.

    Raises:
        UserError: an invalid name, split or setting, or data that cannot be read.
        StorageError: the preview could not be written.
    """
    if not 1 <= count <= 4096:
        raise ConfigError(f"count={count} is not valid: it must be from 1 to 4,096.")
    blueprint = blueprint_of_dataset(name, recipe, overrides, data_root)
    splits = blueprint.dataset.splits
    if split not in splits:
        raise ConfigError(
            f"The dataset '{name}' has no split '{split}'.{did_you_mean(split, splits)}"
        )
    store = blueprint.load(split)
    if not len(store):
        raise ConfigError(f"The split '{split}' of '{name}' is empty, as it was configured.")
    modality = blueprint.make_modality(store.spec)
    shown = min(count, len(store))
    order_seed = derive_seed(seed, "dataset-preview")
    chosen = permuted(torch.arange(shown), len(store), order_seed)
    seen = modality.to_stored(modality.to_model(store.arrays["samples"][chosen]))
    path = Path(os.path.expanduser(out))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path = modality.preview(seen, path)
    except OSError as error:
        raise StorageError(f"Could not write {path}: {reason(error)}.") from error
    labels: dict[str, int] = {}
    if "labels" in store.arrays:
        counts = torch.bincount(store.arrays["labels"], minlength=len(store.label_names)).tolist()
        labels = dict(zip(store.label_names, counts, strict=True))
    return DatasetPreview(path, len(store), store.spec, labels, store.notes)


def blueprint_of_dataset(
    name: str,
    recipe: str | None,
    overrides: Mapping[str, Any] | None,
    data_root: str | Path | None,
) -> Blueprint:
    """Resolve a dataset's name and settings; see ``preview_dataset`` for the arguments."""
    host = get_host()
    recipe = recipe or _recipe_for(host, name)
    settings = given_settings(overrides, dataset=name, data_root=data_root)
    layers = [Layer("given settings", nest(settings))]
    return Blueprint.of(host, resolve_config(host, recipe, layers=layers).config)


def _recipe_for(host: PluginHost, name: str) -> str:
    """Return any recipe of the dataset's modality."""
    modalities = [spec.modality for spec in host.datasets.values() if spec.name == name]
    if not modalities:
        names = [spec.name for spec in host.datasets.values()]
        raise PluginError(f"There is no dataset '{name}'.{did_you_mean(name, names)}")
    fitting = [recipe for recipe in host.recipes.values() if recipe.modality in modalities]
    if len(set(modalities)) > 1 or not fitting:
        which = ", ".join(sorted(set(modalities)))
        raise ConfigError(f"'{name}' is of the modality {which}: name a recipe with --recipe.")
    return fitting[0].name

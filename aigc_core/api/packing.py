"""Prepares a dataset before anything is trained on it: decoded once, into a pack on disk."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aigc_core.api.preview import blueprint_of_dataset
from aigc_core.errors import ConfigError, DataError
from aigc_core.plugins import PluginHost, get_host
from aigc_core.storage import open_pack


@dataclass(frozen=True)
class PackedDataset:
    """What ``pack_dataset`` made."""

    dataset: str
    path: Path | None
    """The pack's folder; None for a dataset that is prepared in another way."""
    count: int
    """Number of samples."""
    bytes: int
    """How much all columns would take in memory."""
    columns: Mapping[str, tuple[int, ...]]
    """Shape of each, with the number of rows."""
    notes: tuple[str, ...]


def pack_dataset(
    name: str,
    *,
    recipe: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    data_root: str | Path | None = None,
) -> PackedDataset:
    """Prepare a dataset as a training would, so that the training finds it prepared.

    A preparation that was killed continues where it stopped.

    Args:
        name: the dataset's name, or a folder of files, whose suffixes tell the dataset.
        recipe: as for ``train``; needed only if it cannot be derived from the dataset's name.
        overrides: settings by dotted key, such as ``{"dataset.options.size": 64}``.
        data_root: folder to read data from.

    Raises:
        UserError: an invalid name or setting, or data that cannot be read.
    """
    host = get_host()
    is_name = any(name == spec.name for spec in host.datasets.values())
    if not is_name and (os.path.isdir(name) or os.sep in name):
        if not os.path.isdir(name):
            raise DataError(f"There is no folder {name}.")
        if data_root is not None:
            raise ConfigError(f"{name} is a folder already: name a dataset, or leave --data-root.")
        name, data_root = dataset_for(host, Path(name)), name
    blueprint = blueprint_of_dataset(name, recipe, overrides, data_root)
    dataset = blueprint.make_dataset()
    try:
        dataset.prepare()
    except (OSError, MemoryError) as error:
        raise DataError(f"The dataset '{name}' could not be prepared: {error}.") from error
    if dataset.pack is None:
        arrays = blueprint.load(blueprint.dataset.splits[0]).arrays
        notes: tuple[str, ...] = ()
    else:
        pack = open_pack(dataset.pack)
        arrays, notes = pack.columns, tuple(pack.facts.get("notes", ()))
    return PackedDataset(
        name,
        dataset.pack,
        len(arrays["samples"]),
        sum(array.nbytes for array in arrays.values()),
        {column: tuple(array.shape) for column, array in arrays.items()},
        notes,
    )


def dataset_for(host: PluginHost, folder: Path) -> str:
    """Return the dataset that reads most of the files in a folder.

    Of several that read the same ones, the one that the others are derived from.

    Raises:
        DataError: there is no file that any of them reads.
    """
    found: Counter[str] = Counter()
    for _, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found.update(os.path.splitext(name)[1].lower() for name in names if name[0] != ".")
    kinds = {}
    for spec in host.datasets.values():
        if not spec.embedded:
            kind = host.resolve(spec.code, host.owner("dataset", spec.name))
            count = sum(found[suffix] for suffix in getattr(kind, "suffixes", ()))
            if count:
                kinds[spec.name] = (count, -len(kind.__mro__))
    if not kinds:
        raise DataError(
            f"No dataset reads the files in {folder}. Name one with --data-root {folder}; see: "
            "aigc datasets"
        )
    return max(kinds, key=lambda name: kinds[name])

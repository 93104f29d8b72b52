"""A named source of samples of one modality."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from aigc_core.interfaces.config import ConfigModel
from aigc_core.interfaces.sample import Column, SampleSpec


@dataclass(frozen=True)
class DataFolders:
    """Where a dataset may read and where it may write."""

    root: Path | None
    """The user's data (``--data-root`` or ``AIGC_DATA_DIR``), only ever read; None if not given.
    A folder, or the one file that ``--data-root`` named."""
    cache: Path
    """Where prepared data goes (``AIGC_CACHE_DIR`` or the user's cache folder)."""

    def make_cache(self) -> Path:
        """Make the cache folder if there is none, and return it."""
        os.makedirs(self.cache, exist_ok=True)
        return self.cache


@dataclass(frozen=True)
class SampleStore:
    """A split's samples in their stored form: named arrays, of equal length within a stream.

    Only a held-out split may be empty, if the dataset is configured that way.
    """

    arrays: Mapping[str, Tensor]
    """``samples`` ``(N, *spec.shape)``; if the data has labels, ``labels`` int64 ``(N,)``; and one
    for each of ``columns``."""
    spec: SampleSpec
    """What one of ``samples`` is."""
    label_names: tuple[str, ...] = ()
    """Name of each label value, in order; empty without labels."""
    notes: tuple[str, ...] = field(default=())
    """What the user should know, such as files that were skipped: one sentence each."""
    columns: Mapping[str, Column] = field(default_factory=dict)
    """What further arrays are, by name."""

    def __post_init__(self) -> None:
        if reserved := {"samples", "labels"} & set(self.columns):
            raise ValueError(f"{sorted(reserved)} are no further columns")
        known = {"samples", "labels", *self.columns}
        if "samples" not in self.arrays or set(self.arrays) - known:
            raise ValueError(
                f"a sample store needs 'samples', and a column for every array but 'labels': it "
                f"has the arrays {sorted(self.arrays)} and the columns {sorted(self.columns)}"
            )
        specs = {"samples": self.spec, **{name: c.spec for name, c in self.columns.items()}}
        for name, spec in specs.items():
            if name not in self.arrays:
                raise ValueError(f"there is no array for the column '{name}'")
            if tuple(self.arrays[name].shape[1:]) != spec.shape:
                raise ValueError(
                    f"{name} have the shape {tuple(self.arrays[name].shape[1:])}, "
                    f"their spec says {spec.shape}"
                )
        for stream in {"samples", *self.streams.values()}:
            lengths = {n: len(a) for n, a in self.arrays.items() if self.stream_of(n) == stream}
            if len(set(lengths.values())) > 1:
                raise ValueError(f"arrays of one stream need one length: {lengths}")

    def __len__(self) -> int:
        return len(self.arrays["samples"])

    @property
    def streams(self) -> dict[str, str]:
        """The stream of every column that is not in that of the samples."""
        return {n: c.stream for n, c in self.columns.items() if c.stream != "samples"}

    def stream_of(self, name: str) -> str:
        """Return the stream that an array belongs to."""
        return self.streams.get(name, "samples")


class Dataset(ABC):
    """A named source of samples, with splits."""

    def __init__(self, options: ConfigModel | None, folders: DataFolders) -> None:
        """Take the validated ``dataset.options`` (None if the dataset has none)."""
        self.options: Any = options
        self.folders = folders

    @abstractmethod
    def prepare(self) -> None:
        """Find the data, or download and verify it.

        Called before ``load``. Idempotent, and safe when two processes race. Raises ``DataError``
        with a message that says what the user can do.
        """

    @property
    def pack(self) -> Path | None:
        """The folder of what ``prepare`` packed (``aigc_core.storage``); None if it does not."""
        return None

    @abstractmethod
    def load(self, split: str) -> SampleStore:
        """Return the samples of one of the splits that the dataset's spec declares."""

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
from aigc_core.interfaces.sample import SampleSpec


@dataclass(frozen=True)
class DataFolders:
    """Where a dataset may read and where it may write."""

    root: Path | None
    """The user's data (``--data-root`` or ``AIGC_DATA_DIR``), only ever read; None if not given.
    A folder, or the one file that ``--data-root`` named."""
    cache: Path
    """Where prepared data goes (``AIGC_CACHE_DIR`` or the user's cache folder)."""

    @property
    def writable_root(self) -> Path:
        """The cache folder, created if missing."""
        os.makedirs(self.cache, exist_ok=True)
        return self.cache


@dataclass(frozen=True)
class SampleStore:
    """A split's samples in their stored form: named arrays of equal length.

    Only a held-out split may be empty, if the dataset is configured that way.
    """

    arrays: Mapping[str, Tensor]
    """``samples`` ``(N, *spec.shape)`` and, if the data has labels, ``labels`` int64 ``(N,)``."""
    spec: SampleSpec
    label_names: tuple[str, ...] = ()
    """Name of each label value, in order; empty without labels."""
    notes: tuple[str, ...] = field(default=())
    """What the user should know, such as files that were skipped: one sentence each."""

    def __post_init__(self) -> None:
        lengths = {name: len(array) for name, array in self.arrays.items()}
        if "samples" not in lengths or len(set(lengths.values())) != 1:
            raise ValueError(f"a sample store needs 'samples' and arrays of one length: {lengths}")
        if tuple(self.arrays["samples"].shape[1:]) != self.spec.shape:
            raise ValueError(
                f"samples have the shape {tuple(self.arrays['samples'].shape[1:])}, "
                f"their spec says {self.spec.shape}"
            )

    def __len__(self) -> int:
        return len(self.arrays["samples"])


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

    @abstractmethod
    def load(self, split: str) -> SampleStore:
        """Return the samples of one of the splits that the dataset's spec declares."""

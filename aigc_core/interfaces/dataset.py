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
    """Where a dataset may look and where it may write."""

    root: Path | None
    """The user's data (``--data-root`` or ``AIGC_DATA_DIR``), only ever read; None if not given.
    A folder, or the one file that ``--data-root`` named."""
    cache: Path
    """Where prepared data goes (``AIGC_CACHE_DIR`` or the user's cache folder)."""

    @property
    def writable_root(self) -> Path:
        """The cache folder, created when missing."""
        os.makedirs(self.cache, exist_ok=True)
        return self.cache


@dataclass(frozen=True)
class SampleStore:
    """Samples in their stored form, whole: named arrays with one first dimension.

    Only a held-out split may be empty, where that is how the dataset was configured.
    """

    arrays: Mapping[str, Tensor]
    """``samples`` ``(N, *spec.shape)`` and, where the data has them, ``labels`` int64 ``(N,)``."""
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
        """Take the validated ``dataset.options`` (None where the dataset has none)."""
        self.options: Any = options
        self.folders = folders

    @abstractmethod
    def prepare(self) -> None:
        """Download and verify, or find, the data.

        Called before ``load``. Idempotent, and safe when two processes race. Raises ``DataError``
        with a sentence that names the ways out.
        """

    @abstractmethod
    def load(self, split: str) -> SampleStore:
        """Return the samples of one of the splits that the dataset's spec declares."""

"""The base of datasets of the user's own files: a folder, decoded once and cached."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import warnings
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aigc_core.datasets.arrays import read_arrays, write_arrays
from aigc_core.datasets.cache import locked_cache
from aigc_core.datasets.contents import content_digests
from aigc_core.datasets.listing import (
    DataFile,
    FileListing,
    folder_labels,
    label_notes,
    list_files,
)
from aigc_core.datasets.words import check_split, list_some
from aigc_core.errors import DataError
from aigc_core.interfaces import Column, Dataset, SampleSpec, SampleStore

_MAX_THREADS = 8


class DecodedFile(NamedTuple):
    """The result of decoding one file."""

    samples: NDArray[Any]
    """``(P, *shape)``, at least one: a file may hold several frames or clips."""
    remarks: tuple[str, ...] = ()
    """What was odd about it: keys of ``FolderDataset.remarks``."""


class UnreadableError(Exception):
    """Why a file cannot be used; the message is to go in brackets."""


class FolderDataset(Dataset):
    """The files below ``--data-root``; sub-folders, if every file is in one, are classes.

    Decoded samples are kept in ``<cache>/<name>/<hash>.safetensors``. The hash covers the options
    and every file's path and content, so a folder that is moved or copied is not decoded again, but
    one that has changed in any way is. Every file is used, or counted in a note.
    """

    name: ClassVar[str]
    kind: ClassVar[tuple[str, str]]
    """What to call one file, and several: ``("image", "images")``."""
    suffixes: ClassVar[tuple[str, ...]]
    """Suffixes of the files to read, in lower case."""
    hints: ClassVar[Mapping[str, str]] = {}
    """What to do about files with other suffixes: ``{".heic": "install pillow-heif"}``."""
    remarks: ClassVar[Mapping[str, str]] = {}
    """Sentences about odd files; ``{count}`` is how many there were, ``{total}`` out of how many,
    and ``{files}`` the names of a few."""
    format: ClassVar[int]
    """Increase it when the same files and options give other samples: invalidates old caches."""
    single_file: ClassVar[bool] = False
    """Whether ``--data-root`` may name one file."""

    @property
    @abstractmethod
    def spec(self) -> SampleSpec:
        """What the samples are."""

    @abstractmethod
    def decode(self, path: Path) -> DecodedFile:
        """Read one file; called in several threads at once.

        Raises:
            UnreadableError: it cannot be used, and is skipped. Any other exception ends
                ``prepare``.
        """

    def prepare(self) -> None:
        """Decode the files unless they are in the cache.

        Raises:
            DataError: no folder was given, it holds no file with a suffix to read or none that can
                be read, or a file changed meanwhile.
        """
        target = self._target
        if read_arrays(target) is not None:
            return
        with locked_cache(self.folders, self.name):
            if read_arrays(target) is not None:  # another process was faster
                return
            arrays, facts = self.decode_all()
            if self._read_digests() != self._digests:
                raise DataError(
                    f"Files in {self._base} were changed while they were read. Try again when "
                    "nothing writes there."
                )
            write_arrays(target, arrays, facts)

    def load(self, split: str) -> SampleStore:
        """Return ``samples`` and, with sub-folders, ``labels`` int64 ``(N,)``."""
        check_split(self.name, split, ("train",))
        found = read_arrays(self._target)
        if found is None:
            raise DataError(
                f"'{self.name}' is not in {self._target}: call prepare() before load()."
            )
        arrays, facts = found
        left_out = self._files.without(self._further).notes(self.hints)
        return SampleStore(
            arrays=arrays,
            spec=self.spec,
            label_names=tuple(facts["label_names"]),
            columns={n: Column(**found) for n, found in facts.get("columns", {}).items()},
            notes=(*facts["notes"], *left_out),
        )

    def decode_all(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Decode the files in threads: libraries release the interpreter lock while decoding."""
        threads = min(_MAX_THREADS, os.cpu_count() or 1)
        with warnings.catch_warnings(), ThreadPoolExecutor(threads) as pool:
            warnings.simplefilter("ignore")  # from libraries, about odd but readable files
            results = list(pool.map(self._decoded, [file.path for file in self._files]))
        pairs = list(zip(self._files, results, strict=True))
        found = [(file.path, r) for file, r in pairs if isinstance(r, DecodedFile)]
        skipped = [f"{file.path} ({r})" for file, r in pairs if isinstance(r, str)]
        if not found:
            raise DataError(self._nothing(skipped))
        counts = [len(result.samples) for _, result in found]
        remarks = [(path, result.remarks) for path, result in found]
        arrays = {"samples": torch.from_numpy(_joined(results, sum(counts)))}
        labels, names = folder_labels([path for path, _ in remarks])
        if names:
            arrays["labels"] = torch.tensor(labels).repeat_interleave(torch.tensor(counts))
        arrays, names, columns, more = self.arrange(
            [path for path, _ in remarks], counts, arrays, names
        )
        notes = [f"Skipped files that cannot be read: {list_some(skipped)}."] if skipped else []
        notes += self._remarks(remarks) + more + label_notes(names)
        source = os.fsencode(self._root.absolute()).decode(errors="replace")
        facts: dict[str, Any] = {"label_names": names, "notes": notes, "source": source}
        if columns:
            facts["columns"] = {name: c.model_dump(mode="json") for name, c in columns.items()}
        return arrays, facts

    def arrange(
        self,
        paths: Sequence[str],
        counts: Sequence[int],
        arrays: dict[str, Tensor],
        label_names: list[str],
    ) -> tuple[dict[str, Tensor], list[str], dict[str, Column], list[str]]:
        """Make columns of what was decoded; by default, there are samples and labels alone.

        Args:
            paths: of the files that were decoded, in order.
            counts: how many samples each gave.
            arrays: ``samples`` and, with sub-folders, ``labels``.
            label_names: of the classes.

        Returns:
            Arrays and names of classes, what further arrays are, and notes.

        Raises:
            DataError: the files do not go together.
        """
        return arrays, label_names, {}, []

    def _decoded(self, path: str) -> DecodedFile | str:
        try:
            return self.decode(self._base / path)
        except UnreadableError as error:
            return str(error)

    def _remarks(self, remarks: Sequence[tuple[str, tuple[str, ...]]]) -> list[str]:
        """Return a sentence for each kind of oddity, in the order of ``FolderDataset.remarks``."""
        sentences = []
        for key, sentence in self.remarks.items():
            files = [path for path, keys in remarks if key in keys]
            if files:
                message = sentence.format(
                    count=len(files), total=len(remarks), files=list_some(files, 3)
                )
                sentences.append(message)
        return sentences

    def _nothing(self, skipped: Sequence[str]) -> str:
        one = len(skipped) == 1
        subject = "The file" if one else f"None of the {len(skipped):,} files"
        return (
            f"{subject} in {self._base} {'cannot' if one else 'can'} be read as {self.kind[1]}: "
            f"{list_some(skipped)}."
        )

    @property
    def _root(self) -> Path:
        root = self.folders.root
        if root is None:
            one = ", or one file," if self.single_file else ""
            raise DataError(
                f"The dataset '{self.name}' needs your {self.kind[1]}: give their folder{one} with "
                "--data-root FOLDER (or AIGC_DATA_DIR)."
            )
        if root.is_file() and not self.single_file:
            raise DataError(
                f"{root} is a file: give the folder of {self.kind[1]} with --data-root."
            )
        return root

    @property
    def _base(self) -> Path:
        """The folder that paths are relative to."""
        return self._root.parent if self._root.is_file() else self._root

    def further_files(self, paths: Sequence[str]) -> Sequence[DataFile]:
        """Return files besides those with a suffix that are used too, such as captions.

        Args:
            paths: of the files with a suffix, relative to the folder.
        """
        return ()

    @functools.cached_property
    def _further(self) -> Sequence[DataFile]:
        return self.further_files([file.path for file in self._files])

    @functools.cached_property
    def _files(self) -> FileListing:
        files = list_files(self._root, self.suffixes)
        if not files:
            there = " ".join(files.notes(self.hints))
            raise DataError(
                f"There is no {self.kind[0]} in {self._root} or its sub-folders. "
                + (f"{there} " if there else "")
                + f"Files count as {self.kind[1]} by their suffix: {' '.join(self.suffixes)}. "
                "Convert others, or give another folder with --data-root."
            )
        return files

    @functools.cached_property
    def _digests(self) -> list[str]:
        return self._read_digests()

    def _read_digests(self) -> list[str]:
        return content_digests(self._base, [*self._files, *self._further], self.folders.cache)

    @functools.cached_property
    def _target(self) -> Path:
        used = [*self._files, *self._further]
        files = [[file.path, digest] for file, digest in zip(used, self._digests, strict=True)]
        made_from = [self.format, self.options.model_dump(), files]
        digest = hashlib.sha256(json.dumps(made_from).encode()).hexdigest()
        return self.folders.cache / self.name / f"{digest[:32]}.safetensors"


def _joined(results: list[DecodedFile | str], count: int) -> NDArray[Any]:
    """Join all samples into one array, freeing each file's own on the way."""
    whole: NDArray[Any] | None = None
    start = 0
    for index, result in enumerate(results):
        results[index] = ""
        if isinstance(result, DecodedFile):
            if whole is None:
                whole = np.empty((count, *result.samples.shape[1:]), result.samples.dtype)
            whole[start : start + len(result.samples)] = result.samples
            start += len(result.samples)
    assert whole is not None, "there is a file that was decoded"
    return whole

"""Any folder of recordings, decoded once and cached."""

import functools
import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aigc_audio.datasets._clips import clip_spec
from aigc_audio.datasets._decode import SUFFIXES, Decoded, UnreadableError, decode
from aigc_audio.options import AudioFolderOptions
from aigc_core import DataError, Dataset, SampleStore
from aigc_core.datasets import (
    DataFile,
    check_split,
    folder_labels,
    list_files,
    locked_cache,
    read_arrays,
    some,
    write_arrays,
)

NAME = "audio-folder"
_FORMAT = 1
"""Raise it when the same files and options give other clips: old caches are then not used."""
_MAX_THREADS = 8


class AudioFolder(Dataset):
    """The recordings below ``--data-root``; sub-folders, if every file is in one, are classes.

    Clips are kept in ``<cache>/audio-folder/<hash>.safetensors``. The hash covers the options and
    every file's path, size and time of change, not its content.
    """

    options: AudioFolderOptions

    def prepare(self) -> None:
        """Decode the recordings unless that was done before.

        Raises:
            DataError: no folder was given, it holds no recording, or none that can be read.
        """
        files, target = self._files, self._target
        if read_arrays(target) is not None:
            return
        with locked_cache(self.folders, NAME):
            if read_arrays(target) is not None:  # another process was faster
                return
            write_arrays(target, *_decode_all(self._root, files, self.options))

    def load(self, split: str) -> SampleStore:
        """Return ``samples`` int16 ``(N, C, samples)`` and, with sub-folders, ``labels``."""
        check_split(NAME, split, ("train",))
        found = read_arrays(self._target)
        if found is None:
            raise DataError(f"'{NAME}' is not in {self._target}: call prepare() before load().")
        arrays, facts = found
        options = self.options
        return SampleStore(
            arrays=arrays,
            spec=clip_spec(options.channels, options.samples, options.sample_rate_hz),
            label_names=tuple(facts["label_names"]),
            notes=tuple(facts["notes"]),
        )

    @property
    def _root(self) -> Path:
        """The folder that paths are relative to."""
        root = self.folders.root
        if root is None:
            raise DataError(
                f"The dataset '{NAME}' needs your recordings: give their folder, or one file, with "
                "--data-root (or AIGC_DATA_DIR)."
            )
        return root.parent if root.is_file() else root

    @functools.cached_property
    def _files(self) -> list[DataFile]:
        base, root = self._root, self.folders.root
        assert root is not None, "then there is no base"
        files = list_files(root, SUFFIXES)
        if not files:
            raise DataError(
                f"There is no recording in {base} or its sub-folders. Files count as such by their "
                f"suffix: {' '.join(SUFFIXES)}. Convert others, for example with ffmpeg, or give "
                "another folder with --data-root."
            )
        return files

    @functools.cached_property
    def _target(self) -> Path:
        facts = [_FORMAT, self.options.model_dump(), self._files]
        digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
        return self.folders.cache / NAME / f"{digest[:32]}.safetensors"


def _decode_all(
    root: Path, files: list[DataFile], options: AudioFolderOptions
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Decode the files in threads (libsndfile and torch release the interpreter)."""

    def decoded(file: DataFile) -> Decoded | str:
        try:
            return decode(root / file.path, options)
        except UnreadableError as error:
            return str(error)

    threads = min(_MAX_THREADS, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool:
        results = list(pool.map(decoded, files))
    found = [(f.path, r) for f, r in zip(files, results, strict=True) if not isinstance(r, str)]
    skipped = [f"{f.path} ({r})" for f, r in zip(files, results, strict=True) if isinstance(r, str)]
    if not found:
        subject = "The file" if len(files) == 1 else f"None of the {len(files):,} files"
        verb = "cannot" if len(files) == 1 else "can"
        raise DataError(f"{subject} in {root} {verb} be read as sound: {some(skipped)}.")
    arrays = {"samples": torch.from_numpy(np.concatenate([r.clips for _, r in found]))}
    labels, names = folder_labels([path for path, _ in found])
    if names:
        counts = torch.tensor([len(result.clips) for _, result in found])
        arrays["labels"] = torch.tensor(labels).repeat_interleave(counts)
    notes = [f"Skipped files that cannot be read: {some(skipped)}."] if skipped else []
    if cut := sum(result.cut for _, result in found):
        notes.append(
            f"{cut:,} of {len(found):,} recordings are longer than "
            f"{options.samples / options.sample_rate_hz:.3g} s, and only their beginning is used. "
            "Set dataset.options.pieces=all for the whole of them."
        )
    return arrays, {"label_names": names, "notes": notes}

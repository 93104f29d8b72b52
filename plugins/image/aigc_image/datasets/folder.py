"""Any folder of images, decoded once and cached."""

import functools
import hashlib
import json
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aigc_core import DataError, Dataset, SampleSpec, SampleStore
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
from aigc_image.datasets._decode import decode, why_unreadable
from aigc_image.options import ImageFolderOptions

NAME = "image-folder"
SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm",
)  # fmt: skip
_FORMAT = 1
"""Raise it when the same files and options give other pixels: old caches are then not used."""
_MAX_THREADS = 8


class ImageFolder(Dataset):
    """The images below ``--data-root``; sub-folders, if every image is in one, are classes.

    Decoded images are kept in ``<cache>/image-folder/<hash>.safetensors``. The hash covers the
    options and every file's path, size and time of change, not its content.
    """

    options: ImageFolderOptions

    def prepare(self) -> None:
        """Decode the images unless that was done before.

        Raises:
            DataError: no folder was given, it holds no image, or none that can be read.
        """
        files, target = self._files, self._target
        if read_arrays(target) is not None:
            return
        with locked_cache(self.folders, NAME):
            if read_arrays(target) is not None:  # another process was faster
                return
            arrays, facts = _decode_all(self._root, files, self.options)
            write_arrays(target, arrays, facts)

    def load(self, split: str) -> SampleStore:
        """Return ``samples`` uint8 ``(N, C, size, size)`` and, with sub-folders, ``labels``."""
        check_split(NAME, split, ("train",))
        found = read_arrays(self._target)
        if found is None:
            raise DataError(f"'{NAME}' is not in {self._target}: call prepare() before load().")
        arrays, facts = found
        size = self.options.size
        return SampleStore(
            arrays=arrays,
            spec=SampleSpec(shape=(self.options.channels, size, size), dtype="uint8"),
            label_names=tuple(facts["label_names"]),
            notes=tuple(facts["notes"]),
        )

    @property
    def _root(self) -> Path:
        if self.folders.root is None:
            raise DataError(
                f"The dataset '{NAME}' needs your images: give their folder with "
                "--data-root FOLDER (or AIGC_DATA_DIR)."
            )
        return self.folders.root

    @functools.cached_property
    def _files(self) -> list[DataFile]:
        if self._root.is_file():
            raise DataError(f"{self._root} is a file: give the folder of images with --data-root.")
        files = list_files(self._root, SUFFIXES)
        if not files:
            raise DataError(
                f"There is no image in {self._root} or its sub-folders. Files count as images "
                f"by their suffix: {' '.join(SUFFIXES)}. Give another folder with --data-root."
            )
        return files

    @functools.cached_property
    def _target(self) -> Path:
        facts = [_FORMAT, self.options.model_dump(), self._files]
        digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
        return self.folders.cache / NAME / f"{digest[:32]}.safetensors"


def _decode_all(
    root: Path, files: list[DataFile], options: ImageFolderOptions
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Decode the files in threads (pillow releases the interpreter while it decodes)."""
    shape = (options.channels, options.size, options.size)
    pixels = np.empty((len(files), *shape), np.uint8)

    def fill(index: int) -> str | None:
        try:
            pixels[index] = decode(root / files[index].path, options.size, options.channels)
        except Exception as error:  # see decode: there is no narrower class
            return why_unreadable(error)
        return None

    threads = min(_MAX_THREADS, os.cpu_count() or 1)
    with warnings.catch_warnings(), ThreadPoolExecutor(threads) as pool:
        warnings.simplefilter("ignore")  # pillow's, on odd but readable files
        problems = list(pool.map(fill, range(len(files))))
    readable = [index for index, problem in enumerate(problems) if problem is None]
    skipped = [
        f"{file.path} ({problem})" for file, problem in zip(files, problems, strict=True) if problem
    ]
    if not readable:
        raise DataError(
            f"None of the {len(files)} image files in {root} can be read: {some(skipped)}."
        )
    arrays = {"samples": torch.from_numpy(pixels[readable] if skipped else pixels)}
    labels, names = folder_labels([files[index].path for index in readable])
    if names:
        arrays["labels"] = torch.tensor(labels, dtype=torch.int64)
    notes = [f"Skipped files that cannot be read: {some(skipped)}."] if skipped else []
    return arrays, {"label_names": names, "notes": notes}

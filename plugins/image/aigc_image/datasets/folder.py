"""Any folder of images, decoded once and cached."""

import functools
import hashlib
import json
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from aigc_core import DataError, Dataset, SampleSpec, SampleStore
from aigc_image.datasets._cache import locked_cache
from aigc_image.datasets._decode import decode, why_unreadable
from aigc_image.datasets._listing import SUFFIXES, ImageFile, list_images
from aigc_image.datasets._splits import check_split
from aigc_image.options import ImageFolderOptions

NAME = "image-folder"
_FORMAT = 1
"""Raise it when the same files and options give other pixels: old caches are then not used."""
_MAX_NAMES = 10
"""Unreadable files that the note names."""
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
        if _read(target) is not None:
            return
        with locked_cache(self.folders, NAME):
            if _read(target) is not None:  # another process was faster
                return
            arrays, facts = _decode_all(self._root, files, self.options)
            target.parent.mkdir(exist_ok=True)
            temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
            try:
                # One key: the order of several would differ from one writing to the next.
                save_file(arrays, temporary, metadata={"aigc": json.dumps(facts)})
                os.replace(temporary, target)
            except SafetensorError as error:  # its way to say that the disk is full
                raise OSError(str(error)) from error
            finally:
                temporary.unlink(missing_ok=True)

    def load(self, split: str) -> SampleStore:
        """Return ``samples`` uint8 ``(N, C, size, size)`` and, with sub-folders, ``labels``."""
        check_split(NAME, split, ("train",))
        found = _read(self._target)
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
    def _files(self) -> list[ImageFile]:
        files = list_images(self._root)
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


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Return a cached file's arrays and facts; None when it is missing or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()["aigc"])
            return {key: file.get_tensor(key) for key in file.keys()}, facts  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None


def _decode_all(
    root: Path, files: list[ImageFile], options: ImageFolderOptions
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
            f"None of the {len(files)} image files in {root} can be read: {_some(skipped)}."
        )
    arrays = {"samples": torch.from_numpy(pixels[readable] if skipped else pixels)}
    labels, names = _labels([files[index].path for index in readable])
    if names:
        arrays["labels"] = torch.tensor(labels, dtype=torch.int64)
    notes = [f"Skipped files that cannot be read: {_some(skipped)}."] if skipped else []
    return arrays, {"label_names": names, "notes": notes}


def _labels(paths: list[str]) -> tuple[list[int], list[str]]:
    """Return each image's label and the labels' names; nothing if an image is in no sub-folder."""
    tops = [PurePath(path).parts[0] for path in paths if "/" in path]
    if len(tops) < len(paths):
        return [], []
    names = sorted(set(tops))
    numbers = {name: number for number, name in enumerate(names)}
    return [numbers[top] for top in tops], names


def _some(items: list[str]) -> str:
    shown = ", ".join(items[:_MAX_NAMES])
    return shown if len(items) <= _MAX_NAMES else f"{shown} and {len(items) - _MAX_NAMES} more"

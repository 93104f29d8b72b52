"""The files below a folder, and the labels that its sub-folders give them."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from aigc_core.errors import DataError, reason


class DataFile(NamedTuple):
    """A file, and what changes when its content does."""

    path: str
    """Relative to the folder that was listed, with ``/`` between its parts; or a file's name."""
    bytes: int
    mtime_ns: int


def list_files(root: Path, suffixes: Collection[str]) -> list[DataFile]:
    """Return the files below ``root`` with one of the suffixes in any case, sorted by path.

    Hidden files and folders are left out; linked folders are followed, each real folder once.
    A root that is a file is returned whatever its suffix.

    Raises:
        DataError: a folder cannot be read.
    """
    endings = tuple(suffix.lower() for suffix in suffixes)
    found = []
    seen: set[str] = set()
    try:
        if root.is_file():
            return [_described(root, root.name)]
        for folder, subfolders, names in os.walk(root, onerror=_raise, followlinks=True):
            real = os.path.realpath(folder)
            if real in seen:  # a link to a folder above would never end
                subfolders.clear()
                continue
            seen.add(real)
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            for name in names:
                path = Path(folder, name)
                if name.lower().endswith(endings) and name[0] != "." and path.is_file():
                    found.append(_described(path, path.relative_to(root).as_posix()))
    except OSError as error:
        raise DataError(f"{error.filename or root} cannot be read: {reason(error)}.") from error
    return sorted(found)


def folder_labels(paths: Sequence[str]) -> tuple[list[int], list[str]]:
    """Return each path's label, by its first folder, and the labels' names, sorted.

    Both are empty if any of the paths is in no folder.
    """
    tops = [path.partition("/")[0] for path in paths if "/" in path]
    if len(tops) < len(paths):
        return [], []
    names = sorted(set(tops))
    numbers = {name: number for number, name in enumerate(names)}
    return [numbers[top] for top in tops], names


def _described(path: Path, name: str) -> DataFile:
    facts = path.stat()
    return DataFile(name, facts.st_size, facts.st_mtime_ns)


def _raise(error: OSError) -> None:
    raise error

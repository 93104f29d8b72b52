"""The files below a folder, what was left out, and the labels that sub-folders give."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from aigc_core.datasets.words import list_some
from aigc_core.errors import DataError, reason
from aigc_core.storage import Progress

_SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation", "eval", "dev"}


class DataFile(NamedTuple):
    """A file of a data folder."""

    path: str
    """Relative to the listed folder, with ``/`` between its parts; for a listed file, its name."""
    bytes: int
    mtime_ns: int


class FileListing(list[DataFile]):
    """The files with some suffixes, sorted by path, and what was left out."""

    def __init__(self, files: Sequence[DataFile] = ()) -> None:
        super().__init__(files)
        self.left_out: Counter[str] = Counter()
        """How many files had other suffixes, by suffix; hidden ones count as ``hidden``."""
        self.unreadable: list[str] = []
        """Files and folders that cannot be used, each with the reason in brackets."""

    def without(self, used: Sequence[DataFile]) -> FileListing:
        """Return the listing as if some files that it left out were not there: they are used."""
        found = FileListing(self)
        found.unreadable = self.unreadable
        found.left_out = self.left_out - Counter(_suffix(file.path) for file in used)
        return found

    def notes(self, hints: Mapping[str, str]) -> list[str]:
        """Return a sentence about what was left out and one about what cannot be read, if any.

        Args:
            hints: what to do about files, by suffix: ``{".heic": "install pillow-heif"}``.
        """
        sentences = []
        if self.left_out:
            count = self.left_out.total()
            kinds = ", ".join(self._kinds(hints))
            sentences.append(f"{count:,} {'file' if count == 1 else 'files'} left out: {kinds}.")
        if self.unreadable:
            sentences.append(f"Left out, since they cannot be read: {list_some(self.unreadable)}.")
        return sentences

    def _kinds(self, hints: Mapping[str, str]) -> list[str]:
        common = self.left_out.most_common(10)
        kinds = [
            f"{number:,} {kind}" + (f" ({hints[kind]})" if kind in hints else "")
            for kind, number in common
        ]
        rest = self.left_out.total() - sum(number for _, number in common)
        return [*kinds, f"{rest:,} of other kinds"] if rest else kinds


def list_files(root: Path, suffixes: Collection[str]) -> FileListing:
    """Return the files below ``root`` with one of the suffixes in any case, sorted by path.

    Hidden files and folders are left out; linked folders are followed, each real folder once.
    Unreadable folders and files are left out, and so is anything that is not a regular file (pipes
    and devices, which are never opened, and links to nothing); the listing says which.
    If the root is a file, it is returned whatever its suffix.

    Raises:
        DataError: the root itself cannot be read.
    """
    endings = tuple(suffix.lower() for suffix in suffixes)
    found = FileListing()
    seen: set[str] = set()

    def left(error: OSError) -> None:
        if os.fspath(error.filename) == os.fspath(root):
            raise error
        path = os.path.relpath(error.filename, root)
        found.unreadable.append(f"{path}/ ({reason(error).lower()})")

    try:
        if root.is_file():
            return FileListing([_described(root, root.name)])
        with Progress(f"Looking for files in {root}") as progress:
            for folder, subfolders, names in os.walk(root, onerror=left, followlinks=True):
                real = os.path.realpath(folder)
                if real in seen:  # a link to a folder above would never end
                    subfolders.clear()
                    continue
                seen.add(real)
                subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
                within = os.path.relpath(folder, root).replace(os.sep, "/")
                prefix = "" if within == "." else f"{within}/"
                for name in names:  # strings, as there may be millions
                    if name.startswith("."):
                        found.left_out["hidden"] += 1
                    elif not name.lower().endswith(endings):
                        found.left_out[_suffix(name)] += 1
                    else:
                        _add(found, os.path.join(folder, name), prefix + name)
                    progress.add()
    except OSError as error:
        raise DataError(f"{error.filename or root} cannot be read: {reason(error)}.") from error
    found.sort()
    return found


def _add(found: FileListing, path: str, relative: str) -> None:
    try:
        facts = os.stat(path)
    except OSError as error:
        found.unreadable.append(f"{relative} ({reason(error).lower()})")
        return
    if not stat.S_ISREG(facts.st_mode):
        found.unreadable.append(f"{relative} (not a regular file)")
    elif not os.access(path, os.R_OK):
        found.unreadable.append(f"{relative} (permission denied)")
    else:
        found.append(DataFile(relative, facts.st_size, facts.st_mtime_ns))


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower() or "without a suffix"


def folder_labels(paths: Sequence[str]) -> tuple[list[int], list[str]]:
    """Return each path's label, from its first folder, and the sorted label names.

    Both are empty if any of the paths is not in a folder.
    """
    tops = [path.partition("/")[0] for path in paths if "/" in path]
    if len(tops) < len(paths):
        return [], []
    names = sorted(set(tops))
    numbers = {name: number for number, name in enumerate(names)}
    return [numbers[top] for top in tops], names


def label_notes(names: Sequence[str]) -> list[str]:
    """Return a sentence about classes that are named like splits, if there are any."""
    splits = [name for name in names if name.lower() in _SPLITS]
    if not splits:
        return []
    quoted = " and ".join(f"'{name}'" for name in splits)
    return [
        f"Folders are classes, and {quoted} {'is' if len(splits) == 1 else 'are'} taken for such. "
        f"If they are parts of one data set, name one of them with --data-root: …/{splits[0]}."
    ]


def _described(path: Path, name: str) -> DataFile:
    facts = path.stat()
    return DataFile(name, facts.st_size, facts.st_mtime_ns)

"""Digests of files' contents: the only thing that tells one folder's data from another's.

Two files can have the same name, size and time: archives with fixed times, ``cp -p``, an edit
whose time was put back. So prepared data is found by content. For sets too large to be read at
every start, digests are remembered, keyed by what a file system changes with every write.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from aigc_core.datasets.listing import DataFile
from aigc_core.errors import DataError, StorageError, reason
from aigc_core.files import content_identity, sha256_of, write_text_atomically
from aigc_core.storage import Progress

ALWAYS_READ_BYTES = 256 << 20
ALWAYS_READ_FILES = 10_000
"""Sets up to this size, and of no more files, are read at every start, which takes a fraction of a
second."""
SETTLED_NS = 3 * 10**9
"""A file changed less than this before it was read might change again within one tick of the file
system's clock, unnoticed."""
FOLDER = "digests"
_MAX_THREADS = 8

_GROUP = 64  # files for one call of a thread

T = TypeVar("T")


def content_digests(base: Path, files: Sequence[DataFile], cache: Path) -> list[str]:
    """Return the digest of each file's content, in the order of ``files``.

    Args:
        base: the folder that the files' paths are relative to.
        files: as ``list_files`` returns them.
        cache: where digests of large sets are remembered, below ``digests/``.

    Raises:
        DataError: a file cannot be read, or is gone.
    """
    threads = min(_MAX_THREADS, os.cpu_count() or 1)
    size = sum(file.bytes for file in files)
    few = size <= ALWAYS_READ_BYTES and len(files) <= ALWAYS_READ_FILES
    if few or os.name == "nt":
        return _each(files, lambda file: _digest(os.path.join(base, file.path)), threads)
    memory = (
        cache / FOLDER / f"{hashlib.sha256(os.fsencode(base.absolute())).hexdigest()[:32]}.json"
    )
    known = _remembered(memory)

    def entry_of(file: DataFile) -> str:
        path = os.path.join(base, file.path)
        before, changed = _identity(path)
        entry = known.get(file.path)
        if isinstance(entry, str) and entry.endswith(f" {before}"):
            return entry
        now = time.time_ns()
        found = _digest(path)
        settled = (before, changed) == _identity(path) and changed < now - SETTLED_NS
        return f"{found} {before}" if settled else found

    found = _each(files, entry_of, threads)
    entries = {file.path: e for file, e in zip(files, found, strict=True) if " " in e}
    if entries != known:
        _remember(memory, base, entries)
    return [entry.partition(" ")[0] for entry in found]


def _each(files: Sequence[DataFile], do: Callable[[DataFile], T], threads: int) -> list[T]:
    """Return what ``do`` gives for each file, by several threads."""
    groups = [files[start : start + _GROUP] for start in range(0, len(files), _GROUP)]
    found: list[T] = []
    progress = Progress("Comparing files with those of before", total=len(files))
    with progress, ThreadPoolExecutor(threads) as pool:
        for group in pool.map(lambda group: [do(file) for file in group], groups):
            found += group
            progress.add(len(group))
    return found


def _identity(path: str) -> tuple[str, int]:
    """Return ``content_identity`` as text, and the change time in nanoseconds.

    Raises:
        DataError: the file is gone, or cannot be reached.
    """
    try:
        facts = content_identity(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {reason(error)}.") from error
    return ".".join(map(str, facts)), facts[-1]


def _digest(path: str) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {reason(error)}.") from error


def _remembered(memory: Path) -> dict[str, Any]:
    try:
        found = json.loads(memory.read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember(memory: Path, base: Path, entries: Mapping[str, str]) -> None:
    # If this fails, the files are read again: slower, but nothing worse.
    with contextlib.suppress(OSError, StorageError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        folder = os.fsencode(base.absolute()).decode(errors="replace")
        write_text_atomically(memory, json.dumps({"folder": folder, "files": entries}))

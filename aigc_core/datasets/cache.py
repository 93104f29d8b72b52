"""The cache folder, locked by one process at a time, with errors that name it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from aigc_core.errors import DataError, reason

if TYPE_CHECKING:
    from aigc_core.interfaces import DataFolders


_SCRATCH = re.compile(r"\..+\.(?:[0-9a-f]{8}|[0-9]+|[0-9a-f]{8}\.tmp|[0-9]+\.tmp)|tmp[a-z0-9_]{8}")
"""Names of scratch files and folders from ``aigc_core.files``, ``tempfile`` and older versions."""


@contextmanager
def locked_cache(folders: DataFolders, name: str) -> Iterator[Path]:
    """Lock the cache folder to one process at a time per dataset; others wait.

    Leftovers of killed processes are removed, since only the lock's holder prepares the dataset.
    Any ``OSError`` inside is taken for a failure to write the cache: code that reads elsewhere must
    turn its own into a ``DataError``.

    Raises:
        DataError: the folder cannot be written.
    """
    try:
        with FileLock(folders.make_cache() / f".{name}.lock"):
            _remove_leftovers(folders.cache, re.compile(rf"\.{re.escape(name)}\.[a-z0-9_]{{8}}"))
            _remove_leftovers(folders.cache / name, _SCRATCH)
            yield folders.cache
    except OSError as error:
        raise DataError(
            f"The dataset '{name}' cannot be prepared in the cache folder {folders.cache}: "
            f"{reason(error)}. Free or fix that folder, or set AIGC_CACHE_DIR to another."
        ) from error


def _remove_leftovers(folder: Path, names: re.Pattern[str]) -> None:
    with contextlib.suppress(OSError):
        if folder.is_symlink():
            return
        for name in os.listdir(folder):
            path = folder / name
            if not names.fullmatch(name):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

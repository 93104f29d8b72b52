"""The cache folder, held by one process at a time, with errors that name it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from aigc_core.errors import DataError, reason

if TYPE_CHECKING:
    from aigc_core.interfaces import DataFolders


@contextmanager
def locked_cache(folders: DataFolders, name: str) -> Iterator[Path]:
    """Give the cache folder to one process at a time per dataset; others wait.

    Every ``OSError`` inside is taken for one of writing in the cache: what reads elsewhere must
    turn its own into a ``DataError``.

    Raises:
        DataError: the folder cannot be written.
    """
    try:
        with FileLock(folders.writable_root / f".{name}.lock"):
            yield folders.cache
    except OSError as error:
        raise DataError(
            f"The dataset '{name}' cannot be prepared in the cache folder {folders.cache}: "
            f"{reason(error)}. Free or fix that folder, or set AIGC_CACHE_DIR to another."
        ) from error

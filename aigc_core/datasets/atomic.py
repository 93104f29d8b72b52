"""A file of any content that is whole or not there."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aigc_core.files import sync_folder


@contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """Give the path of a scratch file that replaces ``target`` if the block ends without an error.

    It is on disk by then. The target's folder is made; the scratch file is left to the block.

    Raises:
        OSError: it could not be written; the target is as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{target.name[:100]}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield scratch
        with scratch.open("r+b") as file:  # Windows syncs only what is open for writing
            os.fsync(file.fileno())
        os.replace(scratch, target)
        sync_folder(target.parent)
    finally:
        scratch.unlink(missing_ok=True)

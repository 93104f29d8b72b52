"""Files and folders that are whole or not there, whatever happens while they are written."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from aigc_core.errors import StorageError, reason


def write_text_atomically(path: Path, text: str) -> None:
    """Write a file that is either the old one or the whole new one, and on disk on return.

    Raises:
        StorageError: it could not be written; the old file stands.
    """
    scratch = _beside(path)
    try:
        with scratch.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            os.chmod(scratch, path.stat().st_mode & 0o777)
        os.replace(scratch, path)
        sync_folder(path.parent)
    except OSError as error:
        raise StorageError(f"Could not write {path}: {reason(error)}.") from error
    finally:
        scratch.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(target: Path, *, last: str = "", replace: bool = False) -> Iterator[Path]:
    """Give a scratch folder that becomes ``target`` when the block ends without an error.

    A missing target appears by one rename. One that exists must be empty; since it may be a mount
    or a link, what was made is moved into it, the file or folder named ``last`` at the end. With
    ``replace`` it may hold something, which stands until the new one is complete.

    Raises:
        OSError: it could not be written; the target is as it was.
    """
    target = Path(os.path.abspath(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    inside = target.exists() and not replace
    scratch = _beside(target / "files" if inside else target)
    scratch.mkdir()
    try:
        yield scratch
        if inside:
            for name in sorted(os.listdir(scratch), key=lambda name: name == last):
                os.rename(scratch / name, target / name)
        else:
            if replace and target.exists():
                shutil.rmtree(target)
            os.rename(scratch, target)
        sync_folder(target if inside else target.parent)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder durable; Windows neither needs nor allows it."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _beside(path: Path) -> Path:
    """Return a hidden name in the same folder that nothing has; its mode will follow the umask."""
    return path.with_name(f".{path.name[:100]}.{uuid.uuid4().hex[:8]}")

"""Files and folders that are whole or not there, whatever happens while they are written."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from aigc_core.errors import StorageError, reason

_CANNOT_SYNC = {
    errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF, errno.ENOSYS, errno.EISDIR,
    errno.EACCES, errno.EPERM,
}  # fmt: skip
"""What file systems answer that do not sync folders: CIFS, folders shared with a virtual machine.
Not among them: EIO and ENOSPC, after which nothing is safe."""


@contextlib.contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """Give the path of a scratch file that replaces ``target`` if the block ends without an error.

    It is on disk by then, with the target's mode. The target's folder is made; the scratch file is
    left to the block to make.

    Raises:
        OSError: it could not be written; the target is as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with _replacing(target) as scratch:
        yield scratch


@contextlib.contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """Do what ``atomic_file`` does, in a folder that is there."""
    scratch = _beside(target)
    try:
        yield scratch
        with scratch.open("r+b") as file:  # Windows syncs only what is open for writing
            os.fsync(file.fileno())
        if target.exists():
            with contextlib.suppress(PermissionError):  # file systems without modes
                os.chmod(scratch, target.stat().st_mode & 0o777)
        os.replace(scratch, target)
        sync_folder(target.parent)
    finally:
        scratch.unlink(missing_ok=True)


def write_text_atomically(path: Path, text: str) -> None:
    """Write a file that is either the old one or the whole new one, and on disk on return.

    Its folder is not made: where it is gone, so is what the file belongs to.

    Raises:
        StorageError: it could not be written; the old file stands.
    """
    try:
        with _replacing(path) as scratch:
            scratch.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise StorageError(f"Could not write {path}: {reason(error)}.") from error


@contextlib.contextmanager
def atomic_folder(
    target: Path, *, last: str = "", replace: bool = False, durable: bool = True
) -> Iterator[Path]:
    """Give a scratch folder that becomes ``target`` when the block ends without an error.

    A missing target appears by one rename. One that exists must be empty; since it may be a mount
    or a link, what was made is moved into it, the file or folder named ``last`` at the end. With
    ``replace`` it may hold something, which stands until the new one is complete. What fails once
    the target is complete is an error where it must be ``durable``: on disk, whatever happens next.

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
        try:
            sync_folder(target if inside else target.parent)
        except OSError:
            if durable:
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder durable, where the file system can; Windows needs no such thing.

    Raises:
        OSError: the device failed.
    """
    if os.name == "nt":
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise


def _beside(path: Path) -> Path:
    """Return a hidden name in the same folder that nothing has; its mode will follow the umask."""
    return path.with_name(f".{path.name[:100]}.{uuid.uuid4().hex[:8]}")


def identity(path: Path) -> tuple[int, int] | None:
    """Return what stays the same of a folder while it is not replaced; None where there is none."""
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def shown(path: Path) -> str:
    """Return a path relative to the current folder where it is below it."""
    try:
        here = Path.cwd()
    except OSError:  # it was removed
        return str(path)
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def typed(path: Path) -> str:
    """Return a path as one would type it in a shell; see ``shown``."""
    return shlex.quote(shown(path))

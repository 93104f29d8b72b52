"""Files and folders: atomic writes, what tells one from another, and paths for people."""

from __future__ import annotations

import contextlib
import errno
import hashlib
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
"""Errors of file systems that cannot sync folders, such as CIFS or folders shared with a virtual
machine. EIO and ENOSPC are not included: after those, nothing is safe."""


@contextlib.contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """Yield the path of a scratch file that replaces ``target`` if the block succeeds.

    The block creates the scratch file, which is synced to disk and given the mode of an existing
    target first. The target's folder is created if missing.

    Raises:
        OSError: it could not be written, and the target is unchanged; or the final sync of its
            folder failed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with _replacing(target) as scratch:
        yield scratch


@contextlib.contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """Do what ``atomic_file`` does, in an existing folder."""
    scratch = _beside(target)
    try:
        yield scratch
        with scratch.open("r+b") as file:  # Windows can only sync files opened for writing
            os.fsync(file.fileno())
        if target.exists():
            with contextlib.suppress(PermissionError):  # a file system without modes
                os.chmod(scratch, target.stat().st_mode & 0o777)
        os.replace(scratch, target)
        sync_folder(target.parent)
    finally:
        scratch.unlink(missing_ok=True)


def write_text_atomically(path: Path, text: str) -> None:
    """Replace a file atomically with new text, which is on disk when this returns.

    Does not create the folder: if that is gone, so is whatever the file belongs to.

    Raises:
        StorageError: it could not be written, and the old file is unchanged; or the final sync of
            its folder failed.
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
    """Yield a scratch folder that becomes ``target`` if the block succeeds.

    A missing target appears by a single rename. An existing one must be empty; since it may be a
    mount or a link, the contents are moved into it, with the file or folder named ``last`` moved
    last. With ``replace``, an existing target is removed once the new one is complete. If the
    final sync fails, that is an error only if the target must be ``durable``.

    Raises:
        OSError: it could not be written. The target is unchanged unless the error came while the
            finished contents were moved into place, or from the final sync.
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
    """Make a rename in a folder durable, if the file system can; does nothing on Windows.

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
    """Return an unused hidden path in the same folder; files created there follow the umask."""
    return path.with_name(f".{path.name[:100]}.{uuid.uuid4().hex[:8]}")


def identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode, which change if a folder is replaced; None if it is missing."""
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def content_identity(path: str | Path) -> tuple[int, ...]:
    """Return what changes whenever a file's content does, even if its times are set back.

    A program can set the modification time (mtime), but not the inode's change time (ctime).

    Returns:
        Device, inode, size in bytes, and both times in nanoseconds, the change time last.

    Raises:
        OSError: the file is gone, or cannot be reached.
    """
    facts = os.stat(path)
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def relative_path(path: Path) -> str:
    """Return a path, relative to the current folder if it is below it."""
    try:
        here = Path.cwd()
    except OSError:  # it was removed
        return str(path)
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def typed(path: Path) -> str:
    """Return ``relative_path(path)``, quoted for a shell."""
    return shlex.quote(relative_path(path))

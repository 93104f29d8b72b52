"""Opening files inside a run's folder, which may come from anybody.

No link is followed, only regular files and real folders are opened, and no more is read than such a
file can hold. The run's folder itself may be a link: the user made that one.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

from aigc_core.errors import RunError, StorageError, reason

SMALL_BYTES = 16 << 20
"""Maximum size of files of settings and counters."""
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)  # else opening a pipe that nobody writes would hang
_LINK = {errno.ELOOP, getattr(errno, "EMLINK", errno.ELOOP)}


def is_real_folder(path: Path) -> bool:
    """Return whether there is a folder; False if there is nothing.

    Raises:
        RunError: it is a link, not a folder, or cannot be reached.
    """
    mode = _mode(path)
    if mode is None:
        return False
    if not stat.S_ISDIR(mode):
        raise _refused(path, mode, "a folder")
    return True


def is_real_file(path: Path) -> bool:
    """Return whether there is a regular file; False if there is nothing.

    Raises:
        RunError: it is a link, not a regular file, or cannot be reached.
    """
    mode = _mode(path)
    if mode is None:
        return False
    if not stat.S_ISREG(mode):
        raise _refused(path, mode, "a regular file")
    return True


def names_in(folder: Path) -> list[str]:
    """Return the sorted names in a folder; none if it is missing.

    Raises:
        RunError: it is a link, not a folder, or cannot be read.
    """
    if not is_real_folder(folder):
        return []
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise RunError(f"Cannot read {folder}: {reason(error)}.") from None


def open_file(path: Path) -> int:
    """Open a regular file for reading, and return its descriptor.

    Raises:
        FileNotFoundError: it is missing.
        RunError: it is a link, not a regular file, or cannot be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | _NOFOLLOW | _NONBLOCK | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        raise
    except OSError as error:
        is_real_file(path)  # if it is something else, raises an error that says what
        raise RunError(f"Cannot read {path}: {reason(error)}.") from None
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode) or (not _NOFOLLOW and path.is_symlink()):
        os.close(handle)
        raise _refused(path, mode, "a regular file")
    return handle


def read_file(path: Path, limit: int = SMALL_BYTES) -> bytes:
    """Read a regular file of at most ``limit`` bytes.

    Raises:
        FileNotFoundError: it is missing.
        RunError: it is a link, not a regular file, larger, or cannot be read.
    """
    with os.fdopen(open_file(path), "rb") as file:
        try:
            size = os.fstat(file.fileno()).st_size
            if size <= limit:
                return file.read(limit)
        except OSError as error:
            raise RunError(f"Cannot read {path}: {reason(error)}.") from None
    raise RunError(
        f"{path} has {size:,} bytes, and such a file has {limit:,} at most: aigc did not write it."
    )


def read_json(path: Path, limit: int = SMALL_BYTES) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        FileNotFoundError: it is missing.
        RunError: as for ``read_file``, or it is not a JSON object.
    """
    return json_object(read_file(path, limit), path)


def json_object(data: bytes, path: Path) -> dict[str, Any]:
    """Parse a JSON object; for anything else, raise ``RunError`` that names ``path``."""
    try:
        found = json.loads(data)
    except RecursionError:
        raise RunError(f"{path} is damaged: nested too deeply.") from None
    except ValueError:  # also numbers with too many digits, and bytes that are not text
        raise RunError(f"{path} is damaged: not JSON.") from None
    if not isinstance(found, dict):
        raise RunError(f"{path} is damaged: expected an object.")
    return found


def append_text(path: Path, text: str) -> None:
    """Append to a regular file, which is created if missing.

    Raises:
        StorageError: it is a link, not a regular file, or cannot be written.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NOFOLLOW | _NONBLOCK
    try:
        is_real_file(path)
        with os.fdopen(os.open(path, flags, 0o666), "a", encoding="utf-8") as file:
            file.write(text)
    except RunError as error:
        raise StorageError(str(error)) from None
    except OSError as error:
        raise StorageError(f"Could not write {path}: {reason(error)}.") from error


def make_real_folder(path: Path) -> None:
    """Create a folder unless a real one exists.

    Raises:
        RunError: something else has that name.
        OSError: it cannot be created.
    """
    if not is_real_folder(path):
        os.mkdir(path)


def _mode(path: Path) -> int | None:
    try:
        return os.lstat(path).st_mode
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"Cannot read {path}: {reason(error)}.") from None


def _refused(path: Path, mode: int, expected: str) -> RunError:
    if stat.S_ISLNK(mode):
        return RunError(
            f"{path} is a link, and no link inside a run's folder is followed: the folder may come "
            "from anybody. Put what it points to in its place."
        )
    kinds = [
        (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"),
        (stat.S_ISREG, "a file"),
    ]  # fmt: skip
    kind = next((name for test, name in kinds if test(mode)), "a device")
    return RunError(f"{path} is {kind}, and should be {expected}.")

"""Unpacking an untrusted archive, member by member.

The extractors of ``tarfile`` and ``zipfile`` are not used: a filter of ``tarfile`` was bypassed
through links (CVE-2025-4517). Nothing here creates or follows a link, or chooses a file's name.
"""

from __future__ import annotations

import errno
import os
import unicodedata
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

from aigc_core.datasets.members import Member, TooLargeError, members
from aigc_core.errors import DataError, reason, shown
from aigc_core.files import atomic_folder

_BLOCK_BYTES = 1 << 20
_FACTOR = 10
"""How many times the amount that may be kept an archive may hold."""
_OVERHEAD_BYTES = 1024
"""Roughly what a tar adds to each file: a header, and padding of the last block."""


def extract_archive(
    archive: Path,
    folder: Path,
    *,
    wanted: Callable[[str], str | None],
    max_files: int,
    max_bytes: int,
) -> list[str]:
    """Unpack files of a .zip, .tar or .tar.gz, recognised by its content, into a new folder.

    The folder appears complete or not at all, even if the process is killed.

    Args:
        archive: the file.
        folder: must not exist; its parents are created.
        wanted: called with the name of each regular file in the archive; returns where it goes in
            ``folder``, with ``/`` between the parts, or None to leave it out. Links, devices and
            sparse files are left out without asking.
        max_files: an archive with more wanted files is refused. So is one with more than ten times
            this plus 1,000 members of any kind, wanted or not.
        max_bytes: an archive with more wanted bytes, counted while unpacking, is refused. So is a
            .tar.gz that holds more than ten times this, plus 10 KiB for each of ``max_files``, plus
            1 MiB, wanted or not: what is left out still has to be unpacked on the way.

    Returns:
        Where the files went, relative to ``folder``, in the archive's order.

    Raises:
        DataError: the archive cannot be read, is damaged or too large, or a file would go outside
            the folder or over another file; names the archive.
        OSError: the folder exists or cannot be written; ``locked_cache`` turns it into a message.
    """
    if os.path.lexists(folder):
        raise FileExistsError(errno.EEXIST, f"{folder} is there already")
    names = _Names(archive)
    left = max_bytes
    inflated = _FACTOR * (max_bytes + max_files * _OVERHEAD_BYTES) + _BLOCK_BYTES
    listing = _safely(archive, _FACTOR * max_files + 1000, inflated)
    with closing(listing) as found, atomic_folder(folder) as scratch:
        for member in found:
            target = wanted(member.name)
            if target is None:
                continue
            names.add(member.name, target)
            if len(names.targets) > max_files:
                raise _refused(archive, f"it holds more than the {max_files:,} files allowed")
            left -= _copy(archive, member, scratch / target, left)
    return names.targets


class _Names:
    """The targets so far; each new one must be an unused path inside the folder.

    Names that differ only in case, or in how accents are encoded, are one file on some systems.
    """

    def __init__(self, archive: Path) -> None:
        self.targets: list[str] = []
        self._archive = archive
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def add(self, name: str, target: str) -> None:
        parts = target.split("/")
        unsafe = any(part in ("", ".", "..") for part in parts)
        if unsafe or any(character in target for character in "\\:\0"):
            raise _refused(
                self._archive, f"{shown(name)} would become {shown(target)}, which is no safe path"
            )
        key = unicodedata.normalize("NFC", target).casefold()
        folders = {key[:end] for end, character in enumerate(key) if character == "/"}
        if key in self._files or key in self._folders or folders & self._files:
            raise _refused(
                self._archive, f"{shown(name)} would become {shown(target)}, which is taken already"
            )
        self._files.add(key)
        self._folders |= folders
        self.targets.append(target)


def _copy(archive: Path, member: Member, path: Path, allowed: int) -> int:
    """Write a member's content to a new file, and return its length."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with _reading(archive):
        source = member.open()
    with source, path.open("xb") as file:
        while block := _block(archive, source):
            count += len(block)
            if count > allowed:
                raise _refused(archive, "it holds more bytes than are allowed")
            file.write(block)
    if count != member.size:
        raise DataError(
            f"{archive} is damaged: {shown(member.name)} has {count:,} of {member.size:,} bytes."
        )
    return count


def _block(archive: Path, source: IO[bytes]) -> bytes:
    with _reading(archive):
        return source.read(_BLOCK_BYTES)


def _safely(archive: Path, max_members: int, inflated: int) -> Generator[Member, None, None]:
    with _reading(archive):
        yield from members(archive, max_members=max_members, max_inflated=inflated)


@contextmanager
def _reading(archive: Path) -> Iterator[None]:
    """Turn whatever a damaged archive makes its reader raise into a ``DataError``."""
    try:
        yield
    except TooLargeError as error:
        raise _refused(archive, f"it {error}") from error
    except OSError as error:
        if error.errno is None:  # how gzip reports damage
            raise DataError(f"{archive} is damaged: {reason(error).rstrip('.')}.") from error
        raise DataError(f"{archive} cannot be read: {reason(error)}.") from error
    except Exception as error:  # nothing narrower will do: the readers raise almost anything
        why = str(error).rstrip(".") or type(error).__name__
        raise DataError(f"{archive} is damaged, or no .zip, .tar or .tar.gz: {why}.") from error


def _refused(archive: Path, why: str) -> DataError:
    return DataError(f"{archive} is not unpacked: {why}.")

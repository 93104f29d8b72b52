"""The regular files in an archive, read so that a hostile one costs no memory."""

from __future__ import annotations

import gzip
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple, cast

_LARGEST_READ = 1 << 20
"""A tar's header that claims to be longer would be read into memory whole."""
_BLOCK = 512
"""A tar consists of blocks of that size."""


class TooLargeError(Exception):
    """The archive goes beyond a limit, in words that follow "it"."""


class Member(NamedTuple):
    """A regular file in an archive."""

    name: str
    """As it stands in the archive: anything at all."""
    size: int
    """How many bytes the archive says it has."""
    open: Callable[[], IO[bytes]]
    """To be called before the next member is asked for."""


def members(archive: Path, *, max_members: int, max_inflated: int) -> Iterator[Member]:
    """Yield the regular files in a .zip, .tar or .tar.gz, by its first bytes, in its order.

    Args:
        archive: the file.
        max_members: how many members it may have, links, folders and devices among them.
        max_inflated: how many bytes the tar in a .tar.gz may have. Of other archives, nothing is
            unpacked but what is read of the members.

    Raises:
        TooLargeError: it goes beyond one of them; noticed on the way, not at the archive's end.
        Exception: it is damaged or of another kind; the readers raise almost anything.
    """
    with archive.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        if start in (b"PK\3\4", b"PK\5\6"):  # the second: an empty one
            yield from _zip_members(file, max_members)
        elif start[:2] == b"\x1f\x8b":
            with gzip.open(file) as unpacked:
                yield from _tar_members(
                    _Guarded(cast(IO[bytes], unpacked), max_inflated), max_members
                )
        else:
            yield from _tar_members(_Guarded(file, None), max_members)


def _zip_members(file: IO[bytes], max_members: int) -> Iterator[Member]:
    with zipfile.ZipFile(file) as archive:
        if len(archive.infolist()) > max_members:
            raise _too_many(max_members)
        for info in archive.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where the writer knew no kinds
            if info.is_dir() or kind not in (0, stat.S_IFREG):
                continue
            # Not info.filename, which ends at the first NUL.
            yield Member(info.orig_filename, info.file_size, partial(_opened, archive, info))


def _opened(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # LZMA's header says how many gigabytes of memory to take.
        raise ValueError(f"{info.filename} is compressed in an unusual way")
    return archive.open(info)


def _too_many(max_members: int) -> TooLargeError:
    return TooLargeError(f"has more than {max_members:,} members of any kind")


def _tar_members(guarded: _Guarded, max_members: int) -> Iterator[Member]:
    with tarfile.open(fileobj=cast(IO[bytes], guarded), mode="r:") as archive:
        position, count = -1, 0
        while (info := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # of millions none is kept
            if info.offset <= position:  # would never end (CVE-2025-8194)
                raise tarfile.ReadError("its members overlap")
            position = info.offset
            count += 1
            if count > max_members:
                raise _too_many(max_members)
            if info.isreg() and not info.issparse():
                yield Member(info.name, info.size, partial(_extracted, archive, info))
        # tarfile takes a header that is damaged or cut off for the end.
        if guarded.last != bytes(_BLOCK):
            raise tarfile.ReadError("it ends too early")
        while guarded.read(_LARGEST_READ):  # the checksum of gzip comes last
            pass


def _extracted(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = archive.extractfile(info)
    assert content is not None, "a regular file has content"
    return content


class _Guarded:
    """A file for ``tarfile`` that reads little at a time, keeps what it read last, and has an end.

    Every byte before a place of the file is inflated on the way there, also by ``seek``.
    """

    def __init__(self, file: IO[bytes], max_bytes: int | None) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self.last = b""

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _LARGEST_READ:
            raise tarfile.ReadError("one of its headers is far too long")
        self.last = self._file.read(size)
        self._check(self._file.tell())
        return self.last

    def seek(self, position: int) -> None:
        self._check(position)
        self._file.seek(position)

    def _check(self, position: int) -> None:
        if self._max_bytes is not None and position > self._max_bytes:
            raise TooLargeError(f"unpacks to more than {self._max_bytes:,} bytes")

    def tell(self) -> int:
        return self._file.tell()

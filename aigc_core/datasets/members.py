"""The regular files in an archive, read so that a hostile one cannot exhaust the memory."""

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
"""The limit of one read: ``tarfile`` reads a header whole, however long it claims to be."""
_BLOCK = 512
"""A tar consists of blocks of this size."""


class TooLargeError(Exception):
    """The archive exceeds a limit; the message is to follow "it"."""


class Member(NamedTuple):
    """A regular file in an archive."""

    name: str
    """As given in the archive: may be anything at all."""
    size: int
    """How many bytes the archive says it has."""
    open: Callable[[], IO[bytes]]
    """Must be called before asking for the next member."""


def members(archive: Path, *, max_members: int, max_inflated: int) -> Iterator[Member]:
    """Yield the regular files in a .zip, .tar or .tar.gz, recognised by its first bytes, in order.

    Args:
        archive: the file.
        max_members: how many members it may have, including links, folders and devices.
        max_inflated: how many bytes the tar in a .tar.gz may have. In other archives, only what is
            read of the members is unpacked.

    Raises:
        TooLargeError: it exceeds one of these; noticed on the way, not at the archive's end.
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
            kind = stat.S_IFMT(info.external_attr >> 16)  # 0 if the writer set no kind
            if info.is_dir() or kind not in (0, stat.S_IFREG):
                continue
            # Not info.filename, which ends at the first NUL.
            yield Member(info.orig_filename, info.file_size, partial(_opened, archive, info))


def _opened(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # LZMA's header can demand gigabytes of memory.
        raise ValueError(f"{info.filename} is compressed in an unusual way")
    return archive.open(info)


def _too_many(max_members: int) -> TooLargeError:
    return TooLargeError(f"has more than {max_members:,} members of any kind")


def _tar_members(guarded: _Guarded, max_members: int) -> Iterator[Member]:
    with tarfile.open(fileobj=cast(IO[bytes], guarded), mode="r:") as archive:
        position, count = -1, 0
        while (info := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # there may be millions: keep none
            if info.offset <= position:  # would never end (CVE-2025-8194)
                raise tarfile.ReadError("its members overlap")
            position = info.offset
            count += 1
            if count > max_members:
                raise _too_many(max_members)
            if info.isreg() and not info.issparse():
                yield Member(info.name, info.size, partial(_extracted, archive, info))
        # tarfile takes a damaged or truncated header for the end.
        if guarded.last != bytes(_BLOCK):
            raise tarfile.ReadError("it ends too early")
        while guarded.read(_LARGEST_READ):  # the checksum of gzip comes last
            pass


def _extracted(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = archive.extractfile(info)
    assert content is not None, "a regular file has content"
    return content


class _Guarded:
    """A file for ``tarfile`` that limits each read and the total size, and keeps its last read.

    Every byte before a position is inflated on the way there, even by ``seek``.
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

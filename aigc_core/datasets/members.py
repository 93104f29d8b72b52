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


class Member(NamedTuple):
    """A regular file in an archive."""

    name: str
    """As it stands in the archive: anything at all."""
    size: int
    """How many bytes the archive says it has."""
    open: Callable[[], IO[bytes]]
    """To be called before the next member is asked for."""


def members(archive: Path) -> Iterator[Member]:
    """Yield the regular files in a .zip, .tar or .tar.gz, by its first bytes, in its order.

    Raises:
        Exception: it is damaged or of another kind; the readers raise almost anything.
    """
    with archive.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        if start in (b"PK\3\4", b"PK\5\6"):  # the second: an empty one
            yield from _zip_members(file)
        elif start[:2] == b"\x1f\x8b":
            with gzip.open(file) as unpacked:
                yield from _tar_members(cast(IO[bytes], unpacked))
        else:
            yield from _tar_members(file)


def _zip_members(file: IO[bytes]) -> Iterator[Member]:
    with zipfile.ZipFile(file) as archive:
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


def _tar_members(file: IO[bytes]) -> Iterator[Member]:
    guarded = _Guarded(file)
    with tarfile.open(fileobj=cast(IO[bytes], guarded), mode="r:") as archive:
        position = -1
        while (info := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # of millions none is kept
            if info.offset <= position:  # would never end (CVE-2025-8194)
                raise tarfile.ReadError("its members overlap")
            position = info.offset
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
    """A file for ``tarfile`` that reads little at a time, and keeps what it read last."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.last = b""

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _LARGEST_READ:
            raise tarfile.ReadError("one of its headers is far too long")
        self.last = self._file.read(size)
        return self.last

    def seek(self, position: int) -> None:
        self._file.seek(position)

    def tell(self) -> int:
        return self._file.tell()

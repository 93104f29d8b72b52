"""Packs: folders of safetensors shards with an index, read row by row.

::

    NAME.pack/
      index.json                    written last: what is in the shards, and their SHA-256
      samples-00000.safetensors     about 256 MB, one array each, rows of fixed size
      labels-00000.safetensors
      00000.json                    what the shards of this number hold, so that packing can resume
      seen.json                     which files were verified, as the file system knew them then
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from aigc_core.errors import DataError, StorageError, reason
from aigc_core.files import content_identity, sha256_of, write_text_atomically
from aigc_core.storage.memory import data_budget, sized
from aigc_core.storage.packed_array import PackedArray
from aigc_core.storage.progress import Progress, logger
from aigc_core.storage.rows import Files, RowReader, Segment

FORMAT = 1
INDEX = "index.json"
HEADER_BYTES = 4096
"""Rows begin here in each shard: its header is filled up with blanks."""
DTYPES = {
    "U8": torch.uint8,
    "I8": torch.int8,
    "U16": torch.uint16,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
    "BOOL": torch.bool,
}
"""Types of numbers, by their names in safetensors files."""
NAMES = {dtype: name for name, dtype in DTYPES.items()}
_SAID_BYTES = 1 << 28


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ShardFile(_Strict):
    """A file of rows of one array."""

    file: str = Field(pattern=r"^[A-Za-z0-9_.-]+\.safetensors$")
    rows: int = Field(ge=0)
    bytes: int = Field(ge=0)
    sha256: str


class StoredArray(_Strict):
    """An array: what a row is, and the files."""

    dtype: str
    shape: tuple[int, ...]
    files: list[ShardFile]


class StoredColumn(_Strict):
    """A column: an array, or part of it."""

    array: str
    rows: str | None = None
    """The array of the numbers of its rows, if these are not all."""
    start: int = 0
    """Where it begins in a row, in bytes."""
    shape: tuple[int, ...] | None = None
    digest: str | None = None


class Index(_Strict):
    """``index.json``, besides its own SHA-256."""

    arrays: dict[str, StoredArray]
    columns: dict[str, StoredColumn]
    facts: dict[str, Any]
    format: int = FORMAT


@dataclass(frozen=True)
class Pack:
    """A finished pack, whose files were found and verified."""

    folder: Path
    columns: Mapping[str, PackedArray]
    facts: Mapping[str, Any] = field(default_factory=dict)
    """JSON data that the writer gave."""

    def load(self, what: str) -> dict[str, Tensor]:
        """Return the columns, in memory as far as they fit into the budget, the smallest first.

        What was chosen is logged, unless it is small.

        Args:
            what: the data's name, for the log.
        """
        return kept(self.columns, what, self.folder)


def kept(columns: Mapping[str, PackedArray], what: str, where: Path) -> dict[str, Tensor]:
    """Return arrays in memory as far as they fit into the budget, the smallest first.

    Args:
        columns: arrays on disk.
        what: the data's name, for the log.
        where: they are, for the log.
    """
    budget = left = data_budget()
    arrays: dict[str, Tensor] = {}
    for name, array in sorted(columns.items(), key=lambda item: item[1].nbytes):
        if array.nbytes <= left:
            left -= array.nbytes
            arrays[name] = array[:]
        else:
            arrays[name] = array
    size = sum(array.nbytes for array in columns.values())
    on_disk = " and ".join(sorted(n for n, a in arrays.items() if isinstance(a, PackedArray)))
    if on_disk:
        logger.info(
            "%s: %s of data; %s stay on disk (%s) and are read batch by batch, since data may take "
            "%s of the memory that is free.",
            *(what, sized(size), on_disk, where, sized(budget)),
        )
    elif size > _SAID_BYTES:
        logger.info(
            "%s: %s of data, kept in memory, where data may take %s.",
            *(what, sized(size), sized(budget)),
        )
    return {name: arrays[name] for name in columns}


def is_packed(folder: Path) -> bool:
    """Return whether a folder holds a finished pack."""
    return (folder / INDEX).is_file()


def open_pack(folder: Path, fix: str = "") -> Pack:
    """Open a finished pack.

    Files that are not those that were written or verified on this machine before, as far as the
    file system knows, are read and compared with their SHA-256.

    Args:
        folder: of the pack.
        fix: what to do about a damaged one, as a sentence.

    Raises:
        DataError: it is missing, damaged or of a newer version; says which file.
    """
    index = read_index(folder, fix)
    seen = Seen(folder)
    listed = [file for array in index.arrays.values() for file in array.files]
    try:
        seen.verify(listed, fix)
    finally:
        seen.save()
    files = Files()
    readers = {name: reader_of(folder, array, files) for name, array in index.arrays.items()}
    columns = {}
    for name, column in index.columns.items():
        reader = readers[column.array]
        if column.shape is not None:
            reader = reader.part(column.shape, column.start)
        if column.rows is not None:
            chosen = readers[column.rows]
            reader = reader.select(chosen.read_range(0, len(chosen)))
        columns[name] = PackedArray(reader, column.digest)
    return Pack(folder, columns, index.facts)


def reader_of(folder: Path, array: StoredArray, files: Files | None = None) -> RowReader:
    """Return a reader of a pack's array; opened ``files`` are shared."""
    segments = [Segment(folder / file.file, HEADER_BYTES, file.rows) for file in array.files]
    return RowReader(segments, array.shape, DTYPES[array.dtype], files=files)


def read_index(folder: Path, fix: str = "") -> Index:
    """Read and check ``index.json``.

    Raises:
        DataError: as for ``open_pack``.
    """
    path = folder / INDEX
    try:
        document = json.loads(path.read_bytes())
        index = document["index"]
        if document["sha256"] != _index_digest(index):
            raise ValueError("its SHA-256 is another")
        if index.get("format") != FORMAT:
            raise DataError(f"{path} is of another version of aigc. {fix}".rstrip())
        found = Index(**index)
        for column in found.columns.values():
            _ = found.arrays[column.array], column.rows is None or found.arrays[column.rows]
        for array in found.arrays.values():
            _ = DTYPES[array.dtype]
    except FileNotFoundError:
        raise DataError(
            f"{folder} holds no finished pack: there is no {INDEX} in it. {fix}".rstrip()
        ) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {reason(error)}. {fix}".rstrip()) from error
    except (KeyError, TypeError, ValueError, RecursionError, AttributeError) as error:
        raise DataError(f"{path} is damaged. {fix}".rstrip()) from error
    return found


def write_index(folder: Path, index: Mapping[str, Any]) -> None:
    """Write ``index.json``: with it, the pack is finished.

    Raises:
        StorageError: it could not be written.
    """
    Index(**index)
    document = {"sha256": _index_digest(index), "index": index}
    write_text_atomically(folder / INDEX, json.dumps(document))


def _index_digest(index: Any) -> str:
    return hashlib.sha256(json.dumps(index, sort_keys=True).encode()).hexdigest()


class Seen:
    """Which files were verified, by what the file system says of them."""

    _FILE = "seen.json"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, Any] = {}
        self._changed = False
        with contextlib.suppress(OSError, ValueError, RecursionError):
            found = json.loads((folder / self._FILE).read_bytes())
            self._known = found if isinstance(found, dict) else {}

    def add(self, file: str) -> None:
        """Remember a file as it is now."""
        self._known[file] = list(content_identity(self._folder / file))
        self._changed = True

    def save(self) -> None:
        """Write what is remembered; if that fails, files are verified again."""
        if self._changed:
            with contextlib.suppress(StorageError):
                write_text_atomically(self._folder / self._FILE, json.dumps(self._known))

    def verify(self, files: list[ShardFile], fix: str) -> None:
        """Check that files are there, and the contents of those that are not remembered.

        Raises:
            DataError: a file is missing or damaged.
        """
        new = []
        for file in files:
            path = self._folder / file.file
            try:
                if path.stat().st_size != file.bytes:
                    raise DataError(
                        f"{path} is damaged: it has {path.stat().st_size:,} of {file.bytes:,} "
                        f"bytes. {fix}".rstrip()
                    )
                if self._known.get(file.file) != list(content_identity(path)):
                    new.append(file)
            except OSError as error:
                raise DataError(
                    f"{path} cannot be read: {reason(error)}. {fix}".rstrip()
                ) from error
        if not new:
            return
        size = sum(file.bytes for file in new) // 1_000_000
        with Progress(f"Verifying {self._folder}", "MB", size) as progress:
            for file in new:
                path = self._folder / file.file
                before = list(content_identity(path))
                if file_digest(path) != file.sha256:
                    raise DataError(
                        f"{path} is damaged: its SHA-256 is not the one in {INDEX}. {fix}".rstrip()
                    )
                self._known[file.file], self._changed = before, True
                progress.add(file.bytes // 1_000_000)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return sha256_of(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {reason(error)}.") from error


def encoded_header(name: str, dtype: torch.dtype, shape: tuple[int, ...], rows: int) -> bytes:
    """Return the first ``HEADER_BYTES`` of a safetensors file that holds one array."""
    size = dtype.itemsize
    for length in (rows, *shape):
        size *= length
    entry = {"dtype": NAMES[dtype], "shape": [rows, *shape], "data_offsets": [0, size]}
    text = json.dumps({name: entry}).encode()
    length = HEADER_BYTES - 8
    return length.to_bytes(8, "little") + text.ljust(length)

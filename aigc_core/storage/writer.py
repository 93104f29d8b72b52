"""Writing packs: shard after shard, in bounded memory; a finished shard is never made again."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import torch
from pydantic import TypeAdapter
from torch import Tensor

from aigc_core.errors import DataError, shown
from aigc_core.files import atomic_file, write_text_atomically
from aigc_core.storage.digests import array_digest
from aigc_core.storage.packed_array import PackedArray
from aigc_core.storage.packs import (
    FORMAT,
    HEADER_BYTES,
    INDEX,
    NAMES,
    Seen,
    ShardFile,
    StoredArray,
    encoded_header,
    file_digest,
    reader_of,
    write_index,
)

SHARD_BYTES = 256_000_000
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_SCRATCH = re.compile(r"\..+\.[0-9a-f]{8}")
_COPY_BYTES = 1 << 25
_ARRAYS = TypeAdapter(dict[str, StoredArray])


class PackWriter:
    """Writes a pack into a folder, and continues where a killed process stopped.

    Use it as a context; only one process at a time may write into a folder::

        with PackWriter(folder) as writer:
            for item in items[len(done(writer.facts)) :]:
                writer.append({"samples": item[None]})
                if writer.size >= SHARD_BYTES:
                    writer.end_shard({"items": …})
            writer.end_shard({"items": …})
            writer.finish({"samples": writer.array("samples")}, {…})
    """

    def __init__(self, folder: Path) -> None:
        """Look for finished shards in a folder, which is made if there is none.

        Raises:
            OSError: it cannot be made or read.
            DataError: a finished shard was changed.
        """
        self.folder = folder
        self.facts: list[Any] = []
        """What ``end_shard`` was given for each finished shard, in order."""
        self.size = 0
        """How many bytes the shard that is being written has."""
        self._arrays: dict[str, StoredArray] = {}
        self._seen = Seen(folder)
        self._stack = ExitStack()
        self._open: dict[str, _Open] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for path in list(folder.iterdir()):
            if _SCRATCH.fullmatch(path.name):  # of a process that was killed
                path.unlink(missing_ok=True)
        while self._take_finished():
            pass
        (folder / INDEX).unlink(missing_ok=True)  # of a pack that is damaged
        for path in folder.glob("[0-9]*.json"):  # of shards after one that was changed
            if path.stem.isdecimal() and int(path.stem) >= len(self.facts):
                path.unlink(missing_ok=True)

    def __enter__(self) -> PackWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Drop what is in no finished shard."""
        for opened in self._open.values():
            opened.file.close()
        if self._open:
            self._stack.__exit__(kind or _Unfinished, error or _Unfinished(), trace)
        self._open = {}

    def _take_finished(self) -> bool:
        """Take the next shard if an earlier process finished it."""
        try:
            found = json.loads(self._note(len(self.facts)).read_bytes())
            arrays = _ARRAYS.validate_python(found["arrays"])
            facts = found["facts"]
        except FileNotFoundError:
            return False
        except (ValueError, KeyError, TypeError, RecursionError):
            return False  # it is made again
        files = [file for array in arrays.values() for file in array.files]
        try:
            self._seen.verify(files, "")
        except DataError:
            return False
        for name, array in arrays.items():
            self._merge(name, array)
        self.facts.append(facts)
        return True

    def _note(self, number: int) -> Path:
        return self.folder / f"{number:05}.json"

    def append(self, arrays: Mapping[str, Tensor]) -> None:
        """Add rows ``(n, *shape)`` of arrays, each of the type and shape of its earlier rows.

        Raises:
            DataError: they are of another type or shape, or of one that cannot be stored.
            OSError: they could not be written.
        """
        for name, rows in arrays.items():
            data = self._opened(name, rows).write(rows)
            self.size += data

    def end_shard(self, facts: Any) -> None:
        """Finish the shard, which will never be made again, even if there is nothing in it.

        Args:
            facts: JSON data by which the caller will know what is in it.

        Raises:
            OSError: it could not be written.
        """
        made: dict[str, StoredArray] = {}
        for name, opened in self._open.items():
            made[name] = opened.finish()
        self._stack.close()
        for array in made.values():
            self._seen.add(array.files[0].file)
        self._open, self.size = {}, 0
        document = {"arrays": _ARRAYS.dump_python(made, mode="json"), "facts": facts}
        write_text_atomically(self._note(len(self.facts)), json.dumps(document))
        self._seen.save()
        for name, array in made.items():
            self._merge(name, array)
        self.facts.append(facts)

    def array(self, name: str) -> PackedArray:
        """Return an array of all finished shards, to be read."""
        return PackedArray(reader_of(self.folder, self._arrays[name]))

    @property
    def names(self) -> list[str]:
        """The arrays of all finished shards."""
        return list(self._arrays)

    def finish(self, columns: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Write the index, after which the pack can be opened.

        Args:
            columns: what the pack is to hold, by name: arrays from ``array``, also rows or parts of
                them, which are not copied; or tensors, which are stored as a whole.
            facts: JSON data for whoever opens it.

        Raises:
            OSError: it could not be written.
        """
        assert not self._open, "end_shard comes first"
        described: dict[str, dict[str, Any]] = {}
        for name, column in columns.items():
            if isinstance(column, PackedArray):
                described[name] = self._view(name, column)
            else:
                stored = name if name not in self._arrays else f"{name}.column"
                self._add(stored, column)
                described[name] = {"array": stored}
            described[name]["digest"] = array_digest(column)
        arrays = _ARRAYS.dump_python(self._arrays, mode="json")
        self._seen.save()
        write_index(
            self.folder,
            {"format": FORMAT, "arrays": arrays, "columns": described, "facts": dict(facts)},
        )

    def _view(self, name: str, column: PackedArray) -> dict[str, Any]:
        reader = column.reader
        file = reader.segments[0].path.name
        base = next(
            key for key, array in self._arrays.items() if file in {f.file for f in array.files}
        )
        found: dict[str, Any] = {"array": base}
        if reader.index is not None:
            self._add(f"{name}.rows", reader.index)
            found["rows"] = f"{name}.rows"
        if reader.shape != self._arrays[base].shape:
            found |= {"start": reader.start, "shape": reader.shape}
        return found

    def _add(self, name: str, array: Tensor) -> None:
        """Store a tensor as one shard of its own."""
        step = max(1, _COPY_BYTES // max(1, array[:1].nbytes))
        opened = self._opened(name, array[:0])
        for start in range(0, len(array), step):
            opened.write(array[start : start + step])
        stored = opened.finish()
        del self._open[name]
        self._stack.close()
        self._seen.add(stored.files[0].file)
        self._arrays[name] = stored

    def _merge(self, name: str, array: StoredArray) -> None:
        before = self._arrays[name].files if name in self._arrays else []
        self._arrays[name] = array.model_copy(update={"files": [*before, *array.files]})

    def _opened(self, name: str, rows: Tensor) -> _Open:
        opened = self._open.get(name)
        if opened is None:
            if not _NAME.fullmatch(name):
                raise DataError(
                    f"An array is named {shown(name)}; in a pack, names consist of letters, digits,"
                    " '_', '.' and '-'."
                )
            if rows.dtype not in NAMES:
                raise DataError(f"'{name}' is of {rows.dtype}, which packs do not know.")
            known = self._arrays.get(name)
            if known is not None:
                self._check(name, rows, known.dtype, tuple(known.shape))
            path = self.folder / f"{name}-{len(self.facts):05}.safetensors"
            opened = _Open(name, self._stack.enter_context(atomic_file(path)), path.name, rows)
            self._open[name] = opened
        else:
            self._check(name, rows, NAMES[opened.dtype], opened.shape)
        return opened

    def _check(self, name: str, rows: Tensor, dtype: str, shape: tuple[int, ...]) -> None:
        if NAMES.get(rows.dtype) != dtype or tuple(rows.shape[1:]) != shape:
            raise DataError(
                f"'{name}' is {NAMES.get(rows.dtype, str(rows.dtype))} of the shape "
                f"{tuple(rows.shape[1:])} here, and {dtype} of {shape} before. All rows need one "
                "type and one shape."
            )


class _Unfinished(Exception):
    """Makes ``atomic_file`` remove a scratch file."""


class _Open:
    """A file of one array that is being written."""

    def __init__(self, name: str, scratch: Path, final: str, rows: Tensor) -> None:
        self._name, self._scratch, self._final = name, scratch, final
        self.dtype, self.shape = rows.dtype, tuple(rows.shape[1:])
        self._rows = 0
        self.file: IO[bytes] = scratch.open("xb")
        self.file.write(bytes(HEADER_BYTES))

    def write(self, rows: Tensor) -> int:
        """Append rows; returns their bytes."""
        self._rows += len(rows)
        data = rows.contiguous().view(-1).view(torch.uint8).numpy().data
        self.file.write(data)
        return len(data)

    def finish(self) -> StoredArray:
        """Write the header, close the file, and say what is in it."""
        self.file.seek(0)
        self.file.write(encoded_header(self._name, self.dtype, self.shape, self._rows))
        self.file.close()
        size = self._scratch.stat().st_size
        digest = file_digest(self._scratch)
        file = ShardFile(file=self._final, rows=self._rows, bytes=size, sha256=digest)
        return StoredArray(dtype=NAMES[self.dtype], shape=self.shape, files=[file])

"""Reading rows of fixed size from files, by many threads at once.

Through a memory map, each row that is not in memory makes the thread wait for the disk alone, and
the kernel reads ahead what nobody asked for. ``preadv`` from several threads keeps the disk busy
and reads what was asked for, straight into the batch.
"""

from __future__ import annotations

import bisect
import contextlib
import functools
import math
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from aigc_core.errors import DataError, reason

THREADS = 16
"""They wait for the disk, so their number has nothing to do with that of the cores."""
MAX_OPEN = 400
"""More files than this are opened anew for each read; many systems allow 1,024 open files."""
_RANGE_BYTES = 8 << 20


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="aigc-read")


if hasattr(os, "register_at_fork"):  # a forked process has none of the threads
    os.register_at_fork(after_in_child=_pool.cache_clear)


@dataclass(frozen=True)
class Segment:
    """Consecutive rows in one file."""

    path: Path
    offset: int
    """Where the first row begins, in bytes."""
    rows: int


class Files:
    """Files opened for reading, each once; closed with the last array that reads them."""

    def __init__(self) -> None:
        self._open: dict[Path, int] = {}
        self._lock = threading.Lock()

    def read(self, path: Path, view: memoryview, offset: int) -> None:
        """Fill ``view`` with the bytes from ``offset``.

        Raises:
            DataError: the file cannot be read, or is too short.
        """
        try:
            with self._handle(path) as handle:
                done = 0
                while done < len(view):
                    count = _read_into(handle, view[done:], offset + done, self._lock)
                    if not count:
                        raise DataError(f"{path} ends too early: it is damaged.")
                    done += count
        except OSError as error:
            raise DataError(f"{path} cannot be read: {reason(error)}.") from error

    @contextlib.contextmanager
    def _handle(self, path: Path) -> Iterator[int]:
        handle = self._open.get(path)
        if handle is not None:
            yield handle
            return
        with self._lock:
            handle = self._open.get(path)
            if handle is None:
                handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
                if hasattr(os, "posix_fadvise"):  # do not read ahead
                    with contextlib.suppress(OSError):
                        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_RANDOM)
                keep = len(self._open) < MAX_OPEN
                if keep:
                    self._open[path] = handle
            else:
                keep = True
        try:
            yield handle
        finally:
            if not keep:
                os.close(handle)

    def __del__(self) -> None:
        for handle in self._open.values():
            with contextlib.suppress(OSError):
                os.close(handle)


def _read_into(handle: int, view: memoryview, offset: int, lock: threading.Lock) -> int:
    if hasattr(os, "preadv"):
        return os.preadv(handle, [view], offset)
    with lock:  # Windows has one position for all readers of a handle
        os.lseek(handle, offset, os.SEEK_SET)
        data = os.read(handle, len(view))
    view[: len(data)] = data
    return len(data)


class Reading:
    """Rows that are being read."""

    def __init__(self, rows: Tensor, parts: Sequence[Future[None]], dtype: torch.dtype) -> None:
        self._rows, self._parts, self._dtype = rows, parts, dtype

    def wait(self) -> Tensor:
        """Return the rows ``(B, *shape)`` once they are there.

        Raises:
            DataError: they cannot be read.
        """
        for part in self._parts:
            part.result()
        return self._rows if self._rows.dtype == self._dtype else self._rows.to(self._dtype)


class RowReader:
    """Rows of an array on disk: all bytes of one row lie together, in one file."""

    def __init__(
        self,
        segments: Sequence[Segment],
        shape: tuple[int, ...],
        stored: torch.dtype,
        *,
        dtype: torch.dtype | None = None,
        stride: int | None = None,
        start: int = 0,
        index: Tensor | None = None,
        files: Files | None = None,
    ) -> None:
        """Say where the rows are; nothing is opened yet.

        Args:
            segments: files in the order of their rows.
            shape: of a row.
            stored: type of the numbers in the files.
            dtype: type that rows are returned in; None for the same.
            stride: bytes from one row to the next; None if they lie side by side.
            start: where what is wanted of a row begins in it, in bytes.
            index: int64 ``(N,)``: the rows of the files that are the rows of this array, if these
                are not all.
            files: opened ones, to be shared.
        """
        self.segments, self.shape, self.stored = tuple(segments), tuple(shape), stored
        self.dtype = dtype or stored
        self.row_bytes = math.prod(shape) * stored.itemsize
        self.stride = self.row_bytes if stride is None else stride
        self.start, self.index = start, index
        self._files = files or Files()
        self._firsts = [0]
        for segment in self.segments:
            self._firsts.append(self._firsts[-1] + segment.rows)
        self.bytes_read = 0
        """How many bytes were asked of the system so far."""

    def __len__(self) -> int:
        return self._firsts[-1] if self.index is None else len(self.index)

    def part(self, shape: tuple[int, ...], start: int) -> RowReader:
        """Return a reader of what begins ``start`` bytes into each row and has this shape."""
        return self._other(shape=shape, start=self.start + start, index=self.index)

    def select(self, rows: Tensor) -> RowReader:
        """Return a reader of rows ``(M,)`` of this array, in this order."""
        rows = rows if self.index is None else self.index[rows]
        return self._other(shape=self.shape, start=self.start, index=rows)

    def flat(self) -> RowReader:
        """Return a reader of the numbers that overlapping rows ``(length,)`` are cut from."""
        (segment,) = self.segments
        count = (segment.rows - 1) * self.stride // self.stored.itemsize + self.shape[0]
        whole = Segment(segment.path, segment.offset, count)
        return RowReader([whole], (), self.stored, dtype=self.dtype, files=self._files)

    def windows(self, length: int) -> RowReader:
        """Return a reader of all windows ``(length,)`` of this array of numbers ``(N,)``."""
        (segment,) = self.segments
        windows = Segment(segment.path, segment.offset, segment.rows - length + 1)
        return RowReader(
            [windows],
            (length,),
            self.stored,
            dtype=self.dtype,
            stride=self.stored.itemsize,
            files=self._files,
        )

    def _other(self, shape: tuple[int, ...], start: int, index: Tensor | None) -> RowReader:
        return RowReader(
            self.segments,
            shape,
            self.stored,
            dtype=self.dtype,
            stride=self.stride,
            start=start,
            index=index,
            files=self._files,
        )

    def read(self, rows: Tensor) -> Tensor:
        """Return rows ``(B,)`` as ``(B, *shape)``, read by several threads.

        Raises:
            DataError: they cannot be read.
            IndexError: there is no such row.
        """
        return self.begin(rows).wait()

    def begin(self, rows: Tensor, *, pinned: bool = False) -> Reading:
        """Begin to read rows ``(B,)``, and return at once.

        Args:
            rows: int64 on the CPU; negative ones count from the end.
            pinned: into memory that a GPU can copy from by itself.

        Raises:
            IndexError: there is no such row.
        """
        count = len(self)
        wanted = [row + count if row < 0 else row for row in rows.tolist()]
        if wanted and not 0 <= min(wanted) <= max(wanted) < count:
            raise IndexError(f"rows {min(wanted)} to {max(wanted)} of {count}")
        if self.index is not None:
            wanted = self.index[torch.tensor(wanted, dtype=torch.int64)].tolist()
        out, view = self._buffer(len(wanted), pinned)
        size = max(1, -(-len(wanted) // THREADS))
        parts = [
            _pool().submit(self._read_some, wanted[i : i + size], view, i)
            for i in range(0, len(wanted), size)
        ]
        self.bytes_read += len(view)
        return Reading(out, parts, self.dtype)

    def read_range(self, first: int, last: int) -> Tensor:
        """Return the rows from ``first`` to before ``last``, in large pieces.

        Raises:
            DataError: they cannot be read.
        """
        dense = self.index is None and self.start == 0 and self.stride == self.row_bytes
        if not dense or not self.row_bytes:
            return self.read(torch.arange(first, last))
        out, view = self._buffer(last - first, False)
        parts = []
        step = max(1, _RANGE_BYTES // self.row_bytes)
        for number, segment in enumerate(self.segments):
            begin, end = self._firsts[number], self._firsts[number + 1]
            for row in range(max(first, begin), min(last, end), step):
                until = min(row + step, last, end)
                place = view[(row - first) * self.row_bytes : (until - first) * self.row_bytes]
                offset = segment.offset + (row - begin) * self.row_bytes
                parts.append(_pool().submit(self._files.read, segment.path, place, offset))
        self.bytes_read += len(view)
        return Reading(out, parts, self.dtype).wait()

    def _buffer(self, count: int, pinned: bool) -> tuple[Tensor, memoryview]:
        out = torch.empty((count, *self.shape), dtype=self.stored, pin_memory=pinned)
        return out, out.view(-1).view(torch.uint8).numpy().data

    def _read_some(self, rows: Sequence[int], view: memoryview, first: int) -> None:
        size = self.row_bytes
        for place, row in enumerate(rows, first):
            number = bisect.bisect_right(self._firsts, row) - 1
            segment = self.segments[number]
            offset = segment.offset + (row - self._firsts[number]) * self.stride + self.start
            self._files.read(segment.path, view[place * size : (place + 1) * size], offset)

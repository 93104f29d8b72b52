"""Part of a file as a file of its own, with some bytes patched."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import BinaryIO


class Window(io.RawIOBase):
    """Reads ``file`` from ``start`` to ``end``, with ``patches`` applied.

    Only what is read is copied, so a header can be corrected in a file of any size.
    """

    def __init__(
        self, file: BinaryIO, start: int, end: int, patches: Mapping[int, bytes] | None = None
    ) -> None:
        """Take patches keyed by their offset in the window."""
        self._file = file
        self._start, self._size = start, end - start
        self._patches = dict(patches or {})
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = max(0, origin + offset)
        return self._place

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._place)
        count = left if size < 0 else min(size, left)
        self._file.seek(self._start + self._place)
        data = bytearray(self._file.read(count))
        for place, patch in self._patches.items():
            first = max(place, self._place)
            last = min(place + len(patch), self._place + len(data))
            if first < last:
                data[first - self._place : last - self._place] = patch[first - place : last - place]
        self._place += len(data)
        return bytes(data)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

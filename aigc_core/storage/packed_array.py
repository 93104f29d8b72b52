"""An array on disk that can be used as the tensor that it would be in memory."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from aigc_core.errors import DataError
from aigc_core.storage.memory import data_budget, sized
from aigc_core.storage.rows import RowReader

_PIECE_BYTES = 1 << 27


class PackedArray(Tensor):
    """A read-only tensor on the CPU whose rows are on disk until they are asked for.

    ``array[rows]`` with int64 ``(B,)``, ``array[i]`` and ``array[i:j]`` read those rows and return
    a plain tensor. ``array[:, k]`` is again on disk. Anything else that a tensor can do reads the
    whole array first, if there is memory for it.
    """

    reader: RowReader
    digest: str | None
    """What ``array_digest`` gives, where the pack recorded it."""

    # Results of functions are plain tensors.
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, reader: RowReader, digest: str | None = None) -> PackedArray:
        """Make an array of what a reader reads."""
        shape = (len(reader), *reader.shape)
        strides = [1] * len(shape)
        for axis in range(len(shape) - 2, 0, -1):
            strides[axis] = strides[axis + 1] * shape[axis + 1]
        strides[0] = reader.stride // reader.stored.itemsize if len(reader.shape) else 1
        array: PackedArray = Tensor._make_wrapper_subclass(
            cls, shape, strides=strides, dtype=reader.dtype
        )
        array.reader, array.digest = reader, digest
        return array

    def __init__(self, reader: RowReader, digest: str | None = None) -> None:
        pass

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func._schema.is_mutable:
            raise DataError(f"{func} would change an array on disk, which can only be read.")
        args, kwargs = tree_map_only(PackedArray, lambda a: a.whole(), (args, kwargs or {}))
        return func(*args, **kwargs)

    def __getitem__(self, index: Any) -> Tensor:
        """Return rows; see the class."""
        if isinstance(index, tuple) and len(index) == 1:
            index = index[0]
        if isinstance(index, int):
            return self.reader.read(torch.tensor([index]))[0]
        if isinstance(index, slice):
            rows = range(len(self))[index]
            size = len(rows) * self.reader.row_bytes
            if size > _PIECE_BYTES:  # pieces are read even where memory is short
                self._check_memory(size)
            if rows.step == 1:
                return self.reader.read_range(rows.start, max(rows.start, rows.stop))
            return self.reader.read(torch.arange(rows.start, rows.stop, rows.step))
        if isinstance(index, Tensor) and index.dim() == 1:
            if index.dtype == torch.bool:
                return self.reader.read(index.nonzero().flatten())
            if not index.is_floating_point():
                return self.reader.read(index.cpu().long())
        if isinstance(index, tuple) and len(index) == 2 and self.dim() > 1:
            every, number = index
            if every == slice(None) and isinstance(number, int):
                return self._within(range(self.shape[1])[number])
        return self.whole()[index]

    def index_select(self, dim: int, index: Tensor) -> Tensor:  # type: ignore[override]
        """Return rows ``index`` if ``dim`` is 0, as ``array[index]``."""
        return self[index] if dim == 0 else self.whole().index_select(dim, index)

    def rows(self, index: Tensor) -> PackedArray:
        """Return the array of rows ``index`` int64 ``(M,)``, again on disk."""
        return PackedArray(self.reader.select(index))

    def flat(self) -> PackedArray:
        """Return the tensor that overlapping rows ``(N, length)`` are windows of, on disk."""
        return PackedArray(self.reader.flat())

    def windows(self, length: int) -> PackedArray:
        """Return the overlapping windows ``(N - length + 1, length)`` of this array, on disk.

        As ``array.unfold(0, length, 1)``, for an array ``(N,)`` in one file.
        """
        return PackedArray(self.reader.windows(length))

    def _within(self, number: int) -> PackedArray:
        """Return element ``number`` of each row, on disk."""
        shape = self.reader.shape[1:]
        size = self.reader.row_bytes // max(1, self.reader.shape[0])
        return PackedArray(self.reader.part(shape, number * size))

    def whole(self) -> Tensor:
        """Return all of it, in memory.

        Raises:
            DataError: it is larger than memory.
        """
        self._check_memory(self.nbytes)
        return self.reader.read_range(0, len(self))

    def _check_memory(self, size: int) -> None:
        if size > data_budget():
            raise DataError(
                f"{sized(size)} of an array on disk were asked for at once, more than the memory "
                "for data. Ask for some of its rows: array[rows]"
            )

    def numpy(self, *, force: bool = False) -> Any:
        """Return all of it as a NumPy array."""
        return self.whole().numpy(force=force)

    def tolist(self) -> Any:
        """Return all of it as a list."""
        return self.whole().tolist()

    def __deepcopy__(self, memo: Any) -> PackedArray:
        return copy.copy(self)

    def __copy__(self) -> PackedArray:
        return PackedArray(self.reader, self.digest)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.whole().__reduce_ex__(protocol)  # type: ignore[no-untyped-call]

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"PackedArray(shape={tuple(self.shape)}, dtype={self.dtype})"


def lazy_rows(array: Tensor, rows: Tensor) -> Tensor:
    """Return ``array[rows]``; of an array on disk, an array on disk."""
    return array.rows(rows) if isinstance(array, PackedArray) else array[rows]

"""Batches from data in its stored form: on the device if it fits, in memory, or on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from aigc_core.errors import DataError
from aigc_core.interfaces import Batch
from aigc_core.storage import PackedArray
from aigc_core.storage.rows import Reading

Transform = Callable[[Tensor], Tensor]
"""Maps a batch of one array in its stored form to the model's form, on the device."""


@dataclass(frozen=True)
class Fetch:
    """Rows of a batch, of which some may still be on their way from disk."""

    rows: Mapping[str, Tensor]
    """Which rows ``(B,)`` of each array."""
    readings: Mapping[str, Reading]
    """Of the arrays that are on disk."""


class ResidentData:
    """Named arrays, on the device where they fit, else in host memory, or on disk.

    Arrays of one stream have one length, and a batch takes the same rows of each.
    """

    def __init__(
        self,
        arrays: Mapping[str, Tensor],
        device: torch.device,
        transforms: Mapping[str, Transform] | None = None,
        streams: Mapping[str, str] | None = None,
    ) -> None:
        """Take the arrays.

        Samples may overlap in memory, as windows of one long tensor do
        (``tokens.unfold(0, length, 1)``): they are kept as they are, and not written out. A
        ``PackedArray`` stays on disk; then the others stay in host memory.

        Args:
            arrays: ``samples`` and any others, such as ``labels``; first dimensions >= 1.
            device: where batches are needed.
            transforms: by the name of an array.
            streams: of arrays that are not in the stream ``samples``.

        Raises:
            DataError: arrays that are missing, empty or, within a stream, of unequal length.
        """
        self._streams = {name: (streams or {}).get(name, "samples") for name in arrays}
        self.lengths: dict[str, int] = {}
        """How many rows each stream has, ``samples`` first."""
        for stream in dict.fromkeys(("samples", *self._streams.values())):
            lengths = {n: len(a) for n, a in arrays.items() if self._streams[n] == stream}
            if (
                (stream == "samples" and "samples" not in lengths)
                or len(found := set(lengths.values())) != 1
                or not min(found)
            ):
                raise DataError(
                    "Training data needs an array 'samples' and equal first dimensions of at least "
                    f"1; found {lengths or 'no array'}."
                )
            self.lengths[stream] = found.pop()
        self.on_disk = any(isinstance(array, PackedArray) for array in arrays.values())
        self.on_device = not self.on_disk and (
            device.type == "cpu"
            or sum(_bytes(array) for array in arrays.values()) <= _memory_for_data(device)
        )
        self._device = device
        self._transforms = dict(transforms or {})
        if self.on_device:
            self._arrays = {name: _moved(array, device) for name, array in arrays.items()}
        else:
            self._arrays = {name: array.cpu() for name, array in arrays.items()}
        self._staging: dict[str, _Staging] = {}

    def __len__(self) -> int:
        return self.lengths["samples"]

    @property
    def index_device(self) -> torch.device:
        """Where ``take`` wants its indices."""
        return self._device if self.on_device else torch.device("cpu")

    def length_of(self, name: str) -> int:
        """Return how many rows an array has."""
        return self.lengths[self._streams[name]]

    def stored(self, name: str, rows: Tensor) -> Tensor:
        """Return rows ``(B,)`` of one array in its stored form, on the CPU."""
        array = self._arrays[name]
        return _select(array, rows.to(array.device)).cpu()

    def take(self, indices: Tensor, **others: Tensor) -> Batch:
        """Return rows of all arrays, on the device, in the model's form.

        Args:
            indices: ``(B,)`` int64, of the stream ``samples``.
            others: as many of each other stream; where not given, the same ones, from its start
                again where it is shorter.
        """
        return self.finish(self.begin({"samples": indices, **others}))

    def begin(self, indices: Mapping[str, Tensor]) -> Fetch:
        """Begin to read what of a batch is on disk, and return at once.

        Args:
            indices: rows ``(B,)`` by stream, as for ``take``.
        """
        rows, readings = {}, {}
        for name, array in self._arrays.items():
            stream = self._streams[name]
            wanted = indices.get(stream)
            rows[name] = indices["samples"] % self.lengths[stream] if wanted is None else wanted
            if isinstance(array, PackedArray):
                pinned = self._device.type == "cuda"
                readings[name] = array.reader.begin(rows[name], pinned=pinned)
        return Fetch(rows, readings)

    def finish(self, fetch: Fetch) -> Batch:
        """Return a batch, on the device, in the model's form.

        Raises:
            DataError: it cannot be read.
        """
        batch: dict[str, Tensor] = {}
        for name, array in self._arrays.items():
            rows = fetch.rows[name]
            if name in fetch.readings:
                # Pinned memory is not used again before the copy is done: PyTorch sees to that.
                batch[name] = fetch.readings[name].wait().to(self._device, non_blocking=True)
            elif self.on_device:
                batch[name] = _select(array, rows)
            else:
                staging = self._staging.setdefault(name, _Staging())
                batch[name] = staging.gather(array, rows, self._device)
            if name in self._transforms:
                batch[name] = self._transforms[name](batch[name])
        return batch

    def batch_bytes(self, size: int) -> int:
        """Return how many bytes of a batch are read from disk."""
        packed = [array for array in self._arrays.values() if isinstance(array, PackedArray)]
        return size * sum(array.reader.row_bytes for array in packed)


class _Staging:
    """Two alternating pinned buffers: gathering a batch overlaps with copying the last one."""

    def __init__(self) -> None:
        self._buffers: list[Tensor] = []
        self._copied: list[torch.cuda.Event] = []
        self._turn = 0

    def gather(self, array: Tensor, indices: Tensor, device: torch.device) -> Tensor:
        """Return rows of a host array on a device."""
        shape = (len(indices), *array.shape[1:])
        if device.type != "cuda":
            return _select(array, indices).to(device)
        if not self._buffers or self._buffers[0].shape != shape:
            self._buffers = [torch.empty(shape, dtype=array.dtype, pin_memory=True) for _ in "ab"]
            self._copied = [torch.cuda.Event() for _ in "ab"]  # type: ignore[no-untyped-call]
        self._turn = 1 - self._turn
        buffer, copied = self._buffers[self._turn], self._copied[self._turn]
        copied.synchronize()  # waits only if the device is two batches behind
        torch.index_select(array, 0, indices, out=buffer)
        rows = buffer.to(device, non_blocking=True)
        copied.record(torch.cuda.current_stream(device))
        return rows


def _select(array: Tensor, rows: Tensor) -> Tensor:
    """Return rows of an array; uint16 as int16 of the same bits, which every device knows."""
    if isinstance(array, PackedArray):
        return array[rows]
    if array.dtype == torch.uint16:
        return array.view(torch.int16).index_select(0, rows).view(torch.uint16)
    return array.index_select(0, rows)


def _bytes(array: Tensor) -> int:
    """Return how much memory an array takes; windows that overlap share theirs."""
    return min(array.numel() * array.element_size(), array.untyped_storage().nbytes())


def _moved(array: Tensor, device: torch.device) -> Tensor:
    """Move an array to a device; samples that overlap in memory overlap there too."""
    if array.device == device or array.numel() * array.element_size() <= _bytes(array):
        return array.to(device)
    storage = array.untyped_storage()
    flat = torch.empty(0, dtype=array.dtype, device=array.device).set_(storage)
    return flat.to(device).as_strided(array.shape, array.stride(), array.storage_offset())


def _memory_for_data(device: torch.device) -> int:
    """Return how many bytes data may take on the device: half of what is free (MPS: usable)."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] // 2
    return torch.mps.recommended_max_memory() // 2

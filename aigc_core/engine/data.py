"""Batches out of data that is resident: whole, in its stored form, beside the computation."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from aigc_core.errors import DataError, raised_at
from aigc_core.interfaces import Batch


def as_arrays(data: object) -> dict[str, Tensor]:
    """Return named tensors for what an engine was given as its data.

    Args:
        data: tensors or NumPy arrays by name; one of them, which is then ``samples``; or a
            map-style ``torch.utils.data.Dataset`` whose items, all of one shape, fit in memory
            together. An item is a sample, a pair of a sample and its label, or a mapping.

    Raises:
        DataError: it is something else; says what to give instead.
    """
    if isinstance(data, Tensor | np.ndarray):
        return {"samples": _as_tensor("samples", data)}
    if isinstance(data, Mapping):
        return {str(name): _as_tensor(str(name), array) for name, array in data.items()}
    if isinstance(data, DataLoader):
        raise DataError(
            "The engine shuffles and batches by itself. Give it the loader's dataset: "
            "Engine(trainer, loader.dataset, config)"
        )
    if isinstance(data, IterableDataset):
        raise DataError(
            "The engine needs data whose samples it can find by number, to shuffle it and to "
            "resume exactly, and an IterableDataset has no numbers. Read it into one array first: "
            'Engine(trainer, {"samples": torch.stack(list(dataset))}, config)'
        )
    if isinstance(data, Dataset):
        return _read_dataset(data)
    raise DataError(
        f"The engine cannot take a {type(data).__name__} as its data. Give it a tensor or NumPy "
        "array of samples (N, ...), a mapping such as {'samples': samples, 'labels': labels}, or a "
        "map-style torch.utils.data.Dataset."
    )


def _as_tensor(name: str, array: object) -> Tensor:
    if isinstance(array, np.ndarray):
        try:
            return torch.from_numpy(np.ascontiguousarray(array))
        except TypeError:
            raise DataError(f"The array '{name}' is of {array.dtype}, which torch lacks.") from None
    if not isinstance(array, Tensor):
        raise DataError(
            f"'{name}' should be a tensor or a NumPy array, and is a {type(array).__name__}."
        )
    return array


def _read_dataset(dataset: Dataset[Any]) -> dict[str, Tensor]:
    """Read a map-style dataset whole."""
    name = type(dataset).__name__
    if isinstance(dataset, TensorDataset) and len(dataset.tensors) <= 2:
        return dict(zip(("samples", "labels"), dataset.tensors, strict=False))
    try:
        count = len(dataset)  # type: ignore[arg-type]
    except TypeError:
        raise DataError(f"The dataset {name} has no length, which the engine needs.") from None
    if not count:
        raise DataError(f"The dataset {name} is empty.")
    first = _item(dataset, 0)
    needed = count * sum(part.numel() * part.element_size() for part in first.values())
    if needed > _host_memory() // 2:
        raise DataError(
            f"The dataset {name} would take {needed / 1e9:,.1f} GB, more than half of this "
            "machine's memory. Give the engine fewer or smaller samples, or keep them in their "
            "stored form (uint8, say) and convert them with transform=…"
        )
    arrays = {
        key: torch.empty((count, *part.shape), dtype=part.dtype) for key, part in first.items()
    }
    for index in range(count):
        item = first if index == 0 else _item(dataset, index)
        for key, array in arrays.items():
            part = item.get(key)
            if part is None or part.shape != array.shape[1:]:
                found = "missing" if part is None else f"of the shape {tuple(part.shape)}"
                raise DataError(
                    f"Item {index} of the dataset {name}: '{key}' is {found}, and that of item 0 "
                    f"has {tuple(array.shape[1:])}. Let its transform give all items one shape."
                )
            array[index] = part
    return arrays


def _item(dataset: Dataset[Any], index: int) -> dict[str, Tensor]:
    name = type(dataset).__name__
    try:
        item = dataset[index]
    except Exception as error:
        raise DataError(f"Item {index} of the dataset {name}: {raised_at(error)}.") from error
    if isinstance(item, tuple | list) and 1 <= len(item) <= 2:
        item = dict(zip(("samples", "labels"), item, strict=False))
    elif not isinstance(item, Mapping):
        item = {"samples": item}
    parts = {}
    for key, part in item.items():
        if not isinstance(part, Tensor | np.ndarray | np.generic | int | float):
            raise DataError(
                f"Item {index} of the dataset {name}: '{key}' is a {type(part).__name__}, not a "
                "tensor. Give the dataset a transform that makes one, such as torchvision's "
                "PILToTensor()."
            )
        parts[str(key)] = torch.as_tensor(part)
    return parts


def _host_memory() -> int:
    """Return how many bytes of memory this machine has; without an answer, 16 GiB."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return 16 << 30


class ResidentData:
    """Named arrays with one first dimension, on the device where they fit, else in host memory."""

    def __init__(
        self,
        arrays: Mapping[str, Tensor],
        device: torch.device,
        transform: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        """Take the arrays.

        Samples may overlap in memory, as windows of one long tensor do
        (``tokens.unfold(0, length, 1)``): they are kept as they are, and not written out.

        Args:
            arrays: ``samples`` and, where there are, ``labels``, …; equal first dimensions >= 1.
            device: where batches are needed.
            transform: maps a batch of stored ``samples`` to the model's form, on the device.

        Raises:
            DataError: arrays that are missing, empty or of unequal length.
        """
        lengths = {name: len(array) for name, array in arrays.items()}
        if not lengths.get("samples") or len(set(lengths.values())) != 1:
            raise DataError(
                "Training data needs an array 'samples' and equal first dimensions of at least 1; "
                f"found {lengths or 'no array'}."
            )
        size = sum(_bytes(array) for array in arrays.values())
        self.on_device = device.type == "cpu" or size <= _memory_for_data(device)
        self._device = device
        self._transform = transform
        if self.on_device:
            self._arrays = {name: _moved(array, device) for name, array in arrays.items()}
        else:
            self._arrays = {name: array.cpu() for name, array in arrays.items()}
        self._staging: dict[str, _Staging] = {}

    def __len__(self) -> int:
        return len(self._arrays["samples"])

    @property
    def index_device(self) -> torch.device:
        """Where ``take`` wants its indices."""
        return self._device if self.on_device else torch.device("cpu")

    def take(self, indices: Tensor) -> Batch:
        """Return the samples at ``(B,)`` int64 indices, on the device, in the model's form."""
        if self.on_device:
            batch = {name: array.index_select(0, indices) for name, array in self._arrays.items()}
        else:
            batch = {
                name: self._staging.setdefault(name, _Staging()).gather(
                    array, indices, self._device
                )
                for name, array in self._arrays.items()
            }
        if self._transform is not None:
            batch["samples"] = self._transform(batch["samples"])
        return batch


class _Staging:
    """Two pinned buffers in turn, so that gathering a batch overlaps with copying the last one."""

    def __init__(self) -> None:
        self._buffers: list[Tensor] = []
        self._copied: list[torch.cuda.Event] = []
        self._turn = 0

    def gather(self, array: Tensor, indices: Tensor, device: torch.device) -> Tensor:
        """Return rows of a host array on a device."""
        shape = (len(indices), *array.shape[1:])
        if device.type != "cuda":
            return array.index_select(0, indices).to(device)
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


def _bytes(array: Tensor) -> int:
    """Return how much memory an array takes; windows that overlap share theirs."""
    return min(array.numel() * array.element_size(), array.untyped_storage().nbytes())


def _moved(array: Tensor, device: torch.device) -> Tensor:
    """Return an array on a device, with samples that overlap overlapping there too."""
    if array.device == device or array.numel() * array.element_size() <= _bytes(array):
        return array.to(device)
    storage = array.untyped_storage()
    flat = torch.empty(0, dtype=array.dtype, device=array.device).set_(storage)
    return flat.to(device).as_strided(array.shape, array.stride(), array.storage_offset())


def _memory_for_data(device: torch.device) -> int:
    """Return how many bytes of the device data may take: half of what is free."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] // 2
    return torch.mps.recommended_max_memory() // 2

"""Batches out of data that is resident: whole, in its stored form, beside the computation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from aigc_core.errors import DataError
from aigc_core.interfaces import Batch


class ResidentData:
    """Named arrays with one first dimension, on the device where they fit, else in host memory."""

    def __init__(
        self,
        arrays: Mapping[str, Tensor],
        device: torch.device,
        transform: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        """Take the arrays.

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
        size = sum(array.numel() * array.element_size() for array in arrays.values())
        self.on_device = device.type == "cpu" or size <= _memory_for_data(device)
        self._device = device
        self._transform = transform
        if self.on_device:
            self._arrays = {name: array.to(device) for name, array in arrays.items()}
        else:  # pinned, so that the copy of a batch overlaps with the computation
            self._arrays = {name: array.cpu().pin_memory() for name, array in arrays.items()}

    def __len__(self) -> int:
        return len(self._arrays["samples"])

    @property
    def index_device(self) -> torch.device:
        """Where ``take`` wants its indices."""
        return self._device if self.on_device else torch.device("cpu")

    def take(self, indices: Tensor) -> Batch:
        """Return the samples at ``(B,)`` int64 indices, on the device, in the model's form."""
        batch = {name: array.index_select(0, indices) for name, array in self._arrays.items()}
        if not self.on_device:
            batch = {name: a.to(self._device, non_blocking=True) for name, a in batch.items()}
        if self._transform is not None:
            batch["samples"] = self._transform(batch["samples"])
        return batch


def _memory_for_data(device: torch.device) -> int:
    """Return how many bytes of the device data may take: half of what is free."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] // 2
    return torch.mps.recommended_max_memory() // 2

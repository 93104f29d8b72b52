"""Which samples a step sees: a pure function of seed and position, so resuming costs nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from aigc_core.engine.permutation import permuted
from aigc_core.engine.seeds import derive_seed

MAX_KEPT = 1 << 24
"""Permutations of more samples than this are not kept (128 MiB) but computed as they are needed."""
_BLOCK = 1 << 16


class ShuffledOrder:
    """The endless order in which samples are visited: one permutation after another.

    Every sample comes once in each epoch. Batches may span two epochs, so all have one size and
    none of the data is dropped. The order is the same on every device.
    """

    def __init__(self, count: int, seed: int, device: torch.device) -> None:
        """Order ``count`` >= 1 samples by ``seed``; indices come as int64 on ``device``."""
        self.count = count
        self._seed = seed
        self._device = device
        self._epoch = -1
        self._block = (-1, -1)
        self._permutation = torch.empty(0, dtype=torch.int64)

    def indices(self, position: int, size: int) -> Tensor:
        """Return the ``(size,)`` indices from ``position``, counted from the run's start."""
        pieces = []
        while size:
            epoch, offset = divmod(position, self.count)
            if self.count > MAX_KEPT:
                piece = self._computed(epoch, offset, size)
            else:
                piece = self._of_epoch(epoch)[offset : offset + size]
            pieces.append(piece)
            position += len(piece)
            size -= len(piece)
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def _of_epoch(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            rng = torch.Generator().manual_seed(derive_seed(self._seed, "order", epoch))
            self._permutation = self._moved(torch.randperm(self.count, generator=rng))
            self._epoch = epoch
        return self._permutation

    def _computed(self, epoch: int, offset: int, size: int) -> Tensor:
        """Return up to ``size`` indices, out of a block of them that is computed at once."""
        block, start = divmod(offset, _BLOCK)
        if (epoch, block) != self._block:
            first = block * _BLOCK
            positions = torch.arange(first, min(first + _BLOCK, self.count))
            seed = derive_seed(self._seed, "order", epoch)
            self._permutation = self._moved(permuted(positions, self.count, seed))
            self._block = (epoch, block)
        return self._permutation[start : start + size]

    def _moved(self, indices: Tensor) -> Tensor:
        if self._device.type == "cuda":  # pinned, the copy does not make the host wait
            indices = indices.pin_memory()
        return indices.to(self._device, non_blocking=True)

"""Which samples a step sees: a pure function of seed and position, so resuming costs nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from aigc_core.engine.seeds import derive_seed


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
        self._permutation = torch.empty(0, dtype=torch.int64)

    def indices(self, position: int, size: int) -> Tensor:
        """Return the ``(size,)`` indices from ``position``, counted from the run's start."""
        pieces = []
        while size:
            epoch, offset = divmod(position, self.count)
            piece = self._of_epoch(epoch)[offset : offset + size]
            pieces.append(piece)
            position += len(piece)
            size -= len(piece)
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def _of_epoch(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            rng = torch.Generator().manual_seed(derive_seed(self._seed, "order", epoch))
            permutation = torch.randperm(self.count, generator=rng)
            if self._device.type == "cuda":  # pinned, the copy does not make the host wait
                permutation = permutation.pin_memory()
            self._permutation = permutation.to(self._device, non_blocking=True)
            self._epoch = epoch
        return self._permutation

"""Which samples a step sees: a pure function of seed and position, so resuming costs nothing.

With too many samples to keep the order in memory, it is computed on demand. A Feistel network
(Luby & Rackoff 1988) is a bijection of [0, 4^k) whatever its round function is. A result that is
not below the count is permuted again until it is (cycle walking: Black & Rogaway 2002, "Ciphers
with Arbitrary Finite Domains"), which makes it a bijection of [0, count). That needs no memory, and
on average at most four rounds of walking per index.
"""

from __future__ import annotations

import torch
from torch import Tensor

from aigc_core.engine.seeds import derive_seed

MAX_KEPT = 1 << 24
"""Permutations of more samples than this (128 MiB) are not kept but computed on demand."""
_BLOCK = 1 << 16
_ROUNDS = 6
_MULTIPLIERS = (0x2545F4914F6CDD1D, 0x369DEA0F31A53F85)  # Steele & Vigna 2021, odd and well mixed


class ShuffledOrder:
    """The endless order in which samples are visited: one permutation after another.

    Every sample comes once in each epoch. Batches may span two epochs, so all have one size and
    none of the data is dropped. The order is the same on every device.
    """

    def __init__(self, count: int, seed: int, device: torch.device) -> None:
        """Order ``count`` >= 1 samples by ``seed``; indices are int64 on ``device``."""
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
        """Return up to ``size`` indices, from a block that is computed at once."""
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


def permuted(positions: Tensor, count: int, seed: int) -> Tensor:
    """Return what a random permutation of ``range(count)`` maps ``positions`` to.

    Args:
        positions: int64 ``(B,)`` on the CPU, each in [0, count).
        count: at least 1, below 2**62.
        seed: chooses the permutation.
    """
    half = max(1, ((count - 1).bit_length() + 1) // 2)
    found = _encrypt(positions, half, seed)
    while (outside := found >= count).any():
        found = torch.where(outside, _encrypt(found, half, seed), found)
    return found


def _encrypt(values: Tensor, half: int, seed: int) -> Tensor:
    mask = (1 << half) - 1
    left, right = values >> half, values & mask
    for turn in range(_ROUNDS):
        key = (seed + turn * 0x1E3779B97F4A7C15) % (1 << 63)
        mixed = (right + key) * _MULTIPLIERS[0]  # wraps at 2**64
        mixed = (mixed ^ ((mixed >> 31) & 0x1FFFFFFFF)) * _MULTIPLIERS[1]
        left, right = right, left ^ ((mixed >> 29) & mask)
    return (left << half) | right

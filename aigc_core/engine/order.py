"""Which samples a step sees: a pure function of seed and position, so resuming costs nothing.

With too many samples to keep the order in memory, it is computed on demand. A Feistel network
(Luby & Rackoff 1988) is a bijection of [0, 4^k) whatever its round function is. A result that is
not below the count is permuted again until it is (cycle walking: Black & Rogaway 2002, "Ciphers
with Arbitrary Finite Domains"), which makes it a bijection of [0, count). That needs no memory, and
on average at most four rounds of walking per index.
"""

from __future__ import annotations

import functools
import os
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from aigc_core.engine.seeds import derive_seed

MAX_KEPT = 1 << 24
"""Permutations of more samples than this (128 MiB) are not kept but computed on demand."""
_BLOCK = 1 << 16
_MADE_AHEAD = 1 << 16
"""From this size on, a piece is made by a thread before it is needed: 16 million samples take more
than a second."""
_ROUNDS = 6
_MULTIPLIERS = (0x2545F4914F6CDD1D, 0x369DEA0F31A53F85)  # Steele & Vigna 2021, odd and well mixed


@functools.cache
def _maker() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="aigc-order")


if hasattr(os, "register_at_fork"):  # a forked process has none of the threads
    os.register_at_fork(after_in_child=_maker.cache_clear)


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
        self._size = count if count <= MAX_KEPT else _BLOCK  # of a piece
        self._pieces: dict[tuple[int, int], Tensor] = {}
        self._coming: dict[tuple[int, int], Future[Tensor]] = {}

    def indices(self, position: int, size: int) -> Tensor:
        """Return the ``(size,)`` indices from ``position``, counted from the run's start."""
        found = []
        while size:
            epoch, offset = divmod(position, self.count)
            number, start = divmod(offset, self._size)
            piece = self._piece(epoch, number)
            if start >= len(piece) // 2:
                self._make_next(epoch, number)
            part = piece[start : start + size]
            found.append(part)
            position += len(part)
            size -= len(part)
        return found[0] if len(found) == 1 else torch.cat(found)

    def _piece(self, epoch: int, number: int) -> Tensor:
        """Return piece ``number`` of an epoch's permutation, on the device.

        Two are kept: who reads ahead asks for the next one while this one is in use.
        """
        key = (epoch, number)
        if key not in self._pieces:
            coming = self._coming.pop(key, None)
            piece = coming.result() if coming else self._made(epoch, number)
            self._coming = {}
            while len(self._pieces) > 1:
                self._pieces.pop(next(iter(self._pieces)))
            self._pieces[key] = piece.to(self._device, non_blocking=True)
        return self._pieces[key]

    def _make_next(self, epoch: int, number: int) -> None:
        """Let a thread make the next piece."""
        last = (number + 1) * self._size >= self.count
        key = (epoch + 1, 0) if last else (epoch, number + 1)
        if self._size >= _MADE_AHEAD and key not in self._pieces and key not in self._coming:
            self._coming[key] = _maker().submit(self._made, *key)

    def _made(self, epoch: int, number: int) -> Tensor:
        seed = derive_seed(self._seed, "order", epoch)
        if self._size == self.count:
            rng = torch.Generator().manual_seed(seed)
            piece = torch.randperm(self.count, generator=rng)
        else:
            first = number * self._size
            positions = torch.arange(first, min(first + self._size, self.count))
            piece = permuted(positions, self.count, seed)
        # Pinned, the copy does not make the host wait.
        return piece.pin_memory() if self._device.type == "cuda" else piece


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

"""A random order of so many samples that it cannot be kept: computed where it is needed.

A Feistel network (Luby & Rackoff 1988) is a bijection of [0, 4^k) whatever its round function is.
Walking on from a result that is not below the count (Black & Rogaway 2002, "Ciphers with Arbitrary
Finite Domains") makes it one of [0, count). It needs no memory, and no more than four
walks per index on average.
"""

from __future__ import annotations

import torch
from torch import Tensor

_ROUNDS = 6
_MULTIPLIERS = (0x2545F4914F6CDD1D, 0x369DEA0F31A53F85)  # Steele & Vigna 2021, odd and well mixed


def permuted(positions: Tensor, count: int, seed: int) -> Tensor:
    """Return where a random permutation of ``range(count)`` takes ``positions``.

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

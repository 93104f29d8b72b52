"""Digests of arrays: every byte, hashed in pieces by several threads."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import torch
from torch import Tensor

from aigc_core.storage.packed_array import PackedArray

_PIECE_BYTES = 1 << 26
_MAX_THREADS = 8
_SIZE = 16


def array_digests(arrays: Mapping[str, Tensor]) -> dict[str, str]:
    """Return each array's digest by name; see ``array_digest``."""
    return {name: array_digest(array) for name, array in sorted(arrays.items())}


def array_digest(array: Tensor) -> str:
    """Return a digest of an array's type, shape and every value, in order: 32 hexadecimal digits.

    BLAKE2 of the digests of 64 MiB pieces, which are hashed in parallel. Overlapping windows of
    one long tensor, ``(N, length)``, are hashed as that tensor: each value once. An array on disk
    is not read if its pack says the digest.

    Args:
        array: any shape and type, on the CPU; need not be contiguous.
    """
    packed = isinstance(array, PackedArray)
    if isinstance(array, PackedArray) and array.digest is not None:
        return array.digest
    flat = without_overlap(array)
    head = [str(array.dtype), list(array.shape), list(array.stride()) if flat is not array else 0]
    threads = 1 if packed else min(_MAX_THREADS, os.cpu_count() or 1)  # pieces are read to memory
    whole = hashlib.blake2b(json.dumps(head).encode(), digest_size=_SIZE)
    pieces = _pieces(flat)
    with ThreadPoolExecutor(threads) as pool:
        while group := list(islice(pieces, threads)):
            for piece in pool.map(_digest, group):
                whole.update(piece)
    return whole.hexdigest()


def _pieces(array: Tensor) -> Iterator[Tensor]:
    """Yield views of rows of the array, each of about 64 MiB."""
    if array.dim() == 0:
        array = array[None]
    row_bytes = max(1, array[:1].numel() * array.element_size())
    rows = max(1, _PIECE_BYTES // row_bytes)
    for start in range(0, len(array), rows):
        yield array[start : start + rows]


def _digest(piece: Tensor) -> bytes:
    data = piece.contiguous().view(torch.uint8).numpy().data if piece.numel() else b""
    return hashlib.blake2b(data, digest_size=_SIZE).digest()


def without_overlap(samples: Tensor) -> Tensor:
    """Return windows of one long tensor, ``(N, length)``, as that tensor; others unchanged."""
    if samples.dim() != 2 or samples.stride(1) != 1 or samples.stride(0) >= samples.shape[1]:
        return samples
    if isinstance(samples, PackedArray):
        return samples.flat()
    length = (len(samples) - 1) * samples.stride(0) + samples.shape[1]
    return samples.as_strided((length,), (1,), samples.storage_offset())

"""Digests of arrays: every byte, hashed in pieces by several threads."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

_PIECE_BYTES = 1 << 26
_MAX_THREADS = 8
_SIZE = 16
LEGACY_BYTES = 1 << 30
"""Of samples larger than this, runs of version 0.1 hashed only about a thousand."""


def array_digests(arrays: Mapping[str, Tensor]) -> dict[str, str]:
    """Return each array's digest by name; see ``array_digest``."""
    return {name: array_digest(array) for name, array in sorted(arrays.items())}


def array_digest(array: Tensor) -> str:
    """Return a digest of an array's type, shape and every value, in order: 32 hexadecimal digits.

    BLAKE2 of the digests of 64 MiB pieces, which are hashed in parallel. Overlapping windows of
    one long tensor, ``(N, length)``, are hashed as that tensor: each value once.

    Args:
        array: any shape and type, on the CPU; need not be contiguous.
    """
    flat = without_overlap(array)
    head = [str(array.dtype), list(array.shape), list(array.stride()) if flat is not array else 0]
    threads = min(_MAX_THREADS, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool:
        pieces = list(pool.map(_digest, _pieces(flat)))
    whole = hashlib.blake2b(json.dumps(head).encode(), digest_size=_SIZE)
    for piece in pieces:
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


def text_digest(values: Sequence[str]) -> str:
    """Return a digest of a sequence of texts: 32 hexadecimal digits."""
    return hashlib.blake2b(json.dumps(list(values)).encode(), digest_size=_SIZE).hexdigest()


def legacy_digest(samples: Tensor) -> str:
    """Return the samples' digest as runs of version 0.1 recorded it."""
    samples = without_overlap(samples)
    if samples.numel() * samples.element_size() > LEGACY_BYTES:  # some, evenly spread
        samples = samples[:: max(1, len(samples) // 1024)]
    data = samples.contiguous().numpy().data
    return hashlib.blake2b(data, digest_size=_SIZE).hexdigest()


def without_overlap(samples: Tensor) -> Tensor:
    """Return windows of one long tensor, ``(N, length)``, as that tensor; others unchanged."""
    if samples.dim() != 2 or samples.stride(1) != 1 or samples.stride(0) >= samples.shape[1]:
        return samples
    length = (len(samples) - 1) * samples.stride(0) + samples.shape[1]
    return samples.as_strided((length,), (1,), samples.storage_offset())

"""Short descriptions of data, to be compared between processes."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from aigc_core.interfaces import SampleStore

_AT_ONCE = 1 << 24
"""Numbers that are hashed at once: samples may overlap in memory, and are written out for it."""


def digests_of(store: SampleStore) -> dict[str, str]:
    """Return a digest of each array, by name, and of ``label_names``."""
    found = {name: _digest(array) for name, array in store.arrays.items()}
    return found | {"label_names": hashlib.blake2b(repr(store.label_names).encode()).hexdigest()}


def _digest(array: Tensor) -> str:
    digest = hashlib.blake2b(f"{array.dtype} {tuple(array.shape)}".encode())
    rows = max(1, _AT_ONCE // max(1, array[:1].numel()))
    for part in torch.split(array, rows):
        if part.numel():
            digest.update(part.contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()

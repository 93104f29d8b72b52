"""Made-up samples of any shape for tests, and digests for comparing data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from aigc_core.interfaces import SampleSpec, SampleStore

_TYPES = {
    "uint8": torch.uint8,
    "uint16": torch.uint16,
    "int16": torch.int16,
    "int32": torch.int32,
    "int64": torch.int64,
    "float32": torch.float32,
}


def tiny_store(
    shape: Sequence[int],
    *,
    dtype: Literal["uint8", "uint16", "int16", "int32", "int64", "float32"] = "uint8",
    count: int = 32,
    labels: int = 0,
    units: Mapping[str, float] | None = None,
) -> SampleStore:
    """Return made-up samples, the same on every call.

    Args:
        shape: of one stored sample.
        dtype: uint8, uint16 and int16 over their whole range, int32 and int64 in 0..255
            (tokens), float32 uniform in [-1, 1).
        count: how many samples.
        labels: number of classes, assigned in turn; 0 for no labels.
        units: as in ``SampleSpec``.

    Returns:
        ``samples`` ``(count, *shape)`` and, with ``labels``, int64 ``labels`` ``(count,)``.

    Raises:
        ValueError: a shape or count that a store cannot have.
    """
    rng = torch.Generator().manual_seed(0)
    size = (count, *shape)
    if dtype == "float32":
        samples = torch.rand(size, generator=rng) * 2 - 1
    else:
        limits = torch.iinfo(_TYPES[dtype] if dtype in ("uint16", "int16") else torch.uint8)
        samples = torch.randint(limits.min, limits.max + 1, size, generator=rng)
    arrays: dict[str, Tensor] = {"samples": samples.to(_TYPES[dtype])}
    if labels:
        arrays["labels"] = torch.arange(count) % labels
    return SampleStore(
        arrays=arrays,
        spec=SampleSpec(shape=tuple(shape), dtype=dtype, units=dict(units or {})),
        label_names=tuple(map(str, range(labels))),
    )


_AT_ONCE = 1 << 24
"""Numbers hashed at once: samples may overlap in memory, and each part is copied for hashing."""


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

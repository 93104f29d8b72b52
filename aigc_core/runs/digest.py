"""Digests that runs record besides those of arrays, which are in ``aigc_core.storage``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from torch import Tensor

from aigc_core.storage import without_overlap

_SIZE = 16
LEGACY_BYTES = 1 << 30
"""Of samples larger than this, runs of version 0.1 hashed only about a thousand."""


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

"""Randomness as a pure function of the seed, so that a run can go on from any step."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

import torch


def derive_seed(seed: int, stream: str, *position: int) -> int:
    """Return an independent 63-bit seed for a position of a named stream, such as step 7.

    Unlike ``seed + step``, neighbouring positions and streams share nothing.
    """
    text = f"{seed}/{stream}/{'/'.join(map(str, position))}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


@contextlib.contextmanager
def isolated_rng(device: torch.device, seed: int | None = None) -> Iterator[None]:
    """Keep whatever happens inside from changing torch's global random state.

    Args:
        device: whose global generator is kept, besides the CPU's.
        seed: seeds the global generators inside; None leaves them as they are.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        if seed is not None:
            torch.manual_seed(seed)
        yield

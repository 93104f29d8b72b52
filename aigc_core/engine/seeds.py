"""Randomness as a pure function of seed and step, so that a run can resume at any step."""

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


def seed_global(seed: int, device: torch.device) -> None:
    """Seed torch's global generators of the CPU and of ``device``, and no others."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


@contextlib.contextmanager
def isolated_rng(device: torch.device, seed: int | None = None) -> Iterator[None]:
    """Restore torch's global random state when the block ends.

    Args:
        device: its global generator is restored, besides the CPU's.
        seed: seeds these generators for the block; None leaves them as they are.
    """
    mps_state = torch.mps.get_rng_state() if device.type == "mps" else None
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            if seed is not None:
                seed_global(seed, device)
            yield
    finally:
        if mps_state is not None:
            torch.mps.set_rng_state(mps_state)

"""What torch keeps globally, set for a training and put back after it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch

from aigc_core.engine.seeds import isolated_rng


@contextlib.contextmanager
def torch_settings(device: torch.device, deterministic: bool) -> Iterator[None]:
    """Choose algorithms by speed, or only deterministic ones; keep the global random state.

    Args:
        device: that the training runs on.
        deterministic: repeatable to the bit on a GPU too, and slower.
    """
    was_deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    try:
        if deterministic:
            if device.type == "cuda":  # cuBLAS asks for it, before its first call
                os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = not deterministic
        with isolated_rng(device):
            yield
    finally:
        torch.use_deterministic_algorithms(was_deterministic, warn_only=warn_only)
        torch.backends.cudnn.benchmark = benchmark

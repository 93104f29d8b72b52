"""In which precision to compute: fp32, or bf16 autocast where the device does that natively.

On a CPU without bf16 instructions autocast is emulated and up to hundreds of times slower than
fp32 (pytorch #146508), so ``auto`` probes and never assumes.
"""

from __future__ import annotations

from typing import Literal

import torch


def native_bf16(device: torch.device) -> bool:
    """Return whether the device computes bf16 in hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False


def choose_precision(name: str, device: torch.device) -> Literal["fp32", "bf16"]:
    """Turn ``auto`` into ``bf16`` where the device has it natively, else ``fp32``.

    ``fp32`` and ``bf16`` are taken as they are: asking for emulated bf16 is allowed.
    """
    if name == "auto":
        return "bf16" if native_bf16(device) else "fp32"
    return "bf16" if name == "bf16" else "fp32"


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the context in which forward passes and losses run."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")

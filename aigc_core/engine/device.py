"""Which device to compute on."""

from __future__ import annotations

import re

import torch

from aigc_core.errors import ConfigError


def choose_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps`` into a device that is there.

    Raises:
        ConfigError: the device is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if not re.fullmatch(r"cpu|mps|cuda(:[0-9]{1,3})?", name):
        raise ConfigError(f"There is no device '{name}'. Valid: auto, cpu, cuda, cuda:1, mps.")
    device = torch.device(name)
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        index = 0 if device.index is None else device.index
        if index >= count:
            found = f"PyTorch sees {count} of them" if count else "PyTorch sees none"
            raise ConfigError(
                f"The device '{name}' was asked for, and {found} here. Use --device auto or cpu."
            )
        return torch.device("cuda", index)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ConfigError(
            "The device 'mps' was asked for, and PyTorch sees none here. Use --device auto or cpu."
        )
    return device


def describe_device(device: torch.device) -> str:
    """Return a device's name for people, such as ``cpu, 2 threads``."""
    if device.type == "cuda":
        return f"{device}, {torch.cuda.get_device_name(device)}"
    if device.type == "cpu":
        return f"cpu, {torch.get_num_threads()} threads"
    return str(device)


def wait_for(device: torch.device) -> None:
    """Wait until a device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()

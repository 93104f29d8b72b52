"""Where and how to compute: the device, its precision, memory format and global torch settings."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from aigc_core.config import EngineConfig
from aigc_core.engine.seeds import isolated_rng
from aigc_core.errors import ConfigError

_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d, nn.Conv3d, nn.ConvTranspose3d)
_FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


def choose_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps`` into an available device.

    Raises:
        ConfigError: the device is unknown or not available.
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
        return f"cpu, {shown_threads(torch.get_num_threads())}"
    return str(device)


def shown_threads(count: int) -> str:
    """Return a number of threads for people."""
    return "1 thread" if count == 1 else f"{count} threads"


def wait_for(device: torch.device) -> None:
    """Wait until a device has finished its queued work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def native_bf16(device: torch.device) -> bool:
    """Return whether the device computes bf16 in hardware.

    If it does not, autocast is emulated and up to hundreds of times slower than fp32
    (pytorch #146508), so ``auto`` always checks.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False


def choose_precision(name: str, device: torch.device) -> Literal["fp32", "bf16"]:
    """Turn ``auto`` into ``bf16`` if the device has it natively, else ``fp32``.

    ``fp32`` and ``bf16`` are returned unchanged: asking for emulated bf16 is allowed.
    """
    if name == "auto":
        return "bf16" if native_bf16(device) else "fp32"
    return "bf16" if name == "bf16" else "fp32"


def machine_name(device: torch.device) -> str:
    """Return what decides how fast a device computes, such as ``cpu AVX512 bf16, 2 threads``."""
    kind = describe_device(device)
    if device.type == "cpu":
        kind = kind.replace("cpu", f"cpu {torch.backends.cpu.get_cpu_capability()}")
    bf16 = ", bf16" if native_bf16(device) else ""
    return f"{kind}{bf16}, torch {torch.__version__}"


class Choice(NamedTuple):
    """How to compute."""

    precision: Literal["fp32", "bf16"]
    channels_last: bool
    threads: int | None
    """On a CPU, if not as many as PyTorch takes by itself."""


def choose(config: EngineConfig, networks: Iterable[nn.Module], device: torch.device) -> Choice:
    """Return how to compute: as set, else as tuned for this machine, else as usually fastest."""
    tuned = config.tuned
    if tuned is None or tuned.machine != machine_name(device):
        precision = choose_precision(config.precision, device)
        layout = choose_channels_last(config.channels_last, networks, device, precision)
        return Choice(precision, layout, None)
    return Choice(
        tuned.precision if config.precision == "auto" else config.precision,
        tuned.channels_last if config.channels_last is None else config.channels_last,
        tuned.threads if device.type == "cpu" else None,
    )


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the context in which forward passes and losses run."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def choose_channels_last(
    wanted: bool | None, networks: Iterable[nn.Module], device: torch.device, precision: str
) -> bool:
    """Return ``wanted``; if None, whether it is usually faster: there are convolutions of
    pictures or volumes, and CUDA or bf16."""
    if wanted is not None:
        return wanted
    return has_convolutions(networks) and (device.type == "cuda" or precision == "bf16")


def has_convolutions(networks: Iterable[nn.Module]) -> bool:
    """Return whether networks have convolutions of pictures or volumes."""
    return any(isinstance(m, _CONVOLUTIONS) for network in networks for m in network.modules())


@torch.no_grad()
def weights_channels_last(network: nn.Module) -> None:
    """Store a network's weights of four and five dimensions channels last, each in its format.

    ``Module.to(memory_format=torch.channels_last)`` refuses weights of five dimensions.
    """
    for parameter in network.parameters():
        if parameter.dim() in _FORMATS:
            parameter.data = parameter.data.contiguous(memory_format=_FORMATS[parameter.dim()])


def batch_channels_last(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a batch whose pictures and volumes are channels last.

    Those are ``(B, C, H, W)`` and ``(B, C, D, H, W)``.
    """
    return {
        name: value.contiguous(memory_format=_FORMATS[value.dim()])
        if value.dim() in _FORMATS
        else value
        for name, value in batch.items()
    }


@contextlib.contextmanager
def torch_settings(
    device: torch.device, deterministic: bool, threads: int | None = None
) -> Iterator[None]:
    """Choose algorithms by speed, or only deterministic ones; keep the global random state.

    Args:
        device: the device that the training runs on.
        deterministic: bit-for-bit repeatable on a GPU too, but slower.
        threads: how many compute, on a CPU; None for as many as now.
    """
    had_threads = torch.get_num_threads()
    was_deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    try:
        if threads is not None:
            torch.set_num_threads(threads)
        if deterministic:
            if device.type == "cuda":  # cuBLAS needs it before its first call
                os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = not deterministic
        with isolated_rng(device):
            yield
    finally:
        torch.use_deterministic_algorithms(was_deterministic, warn_only=warn_only)
        torch.backends.cudnn.benchmark = benchmark
        if threads is not None:
            torch.set_num_threads(had_threads)

"""Checks that a checkpoint's tensors fit a model before either takes up memory.

A run's folder may come from anyone: its configuration may ask for a model that fills the memory,
and its files may hold tensors that no network has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from aigc_core.errors import RunError
from aigc_core.runs.tensors import Header, total_bytes

_NAMES = {
    torch.bool: "BOOL", torch.uint8: "U8", torch.int8: "I8", torch.int16: "I16",
    torch.int32: "I32", torch.int64: "I64", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.float32: "F32", torch.float64: "F64", torch.complex64: "C64",
}  # fmt: skip
_SLACK_BYTES = 128 << 20
_FACTOR = 8
"""Allows for copies made by initialisation: orthogonal weights take several times their size."""
_CALLS, _CALLS_PER_TENSOR = 10_000, 200


class Budget(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While active, stops code that allocates more than networks of these weights can need."""

    def __init__(self, allowed_bytes: int, allowed_calls: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._bytes, self._calls = allowed_bytes, allowed_calls

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        self._calls -= 1
        if self._calls < 0:
            raise _too_large()
        sizes = args[0] if args else None
        if isinstance(sizes, list | tuple):
            numbers = [size for size in sizes if isinstance(size, int)]
            if numbers and math.prod(numbers) > self._bytes:  # at least a byte each
                raise _too_large()
        made = func(*args, **(kwargs or {}))
        if isinstance(made, Tensor) and not any(isinstance(a, Tensor) for a in args):
            self._bytes -= made.numel() * made.element_size()
            if self._bytes < 0:
                raise _too_large()
        return made


def budget_for(header: Header) -> Budget:
    """Return the budget for building the networks that have these weights."""
    calls = _CALLS + _CALLS_PER_TENSOR * len(header)
    return Budget(_FACTOR * total_bytes(header) + _SLACK_BYTES, calls)


def _too_large() -> RunError:
    return RunError(
        "The configuration asks for a far larger model than the checkpoint's weights are of: "
        "config.yaml was changed, or is of another run."
    )


def check_header(header: Header, own: Mapping[str, Tensor], path: Path) -> None:
    """Check the names, shapes and types of a checkpoint's weights against those of the networks.

    Raises:
        RunError: they differ; the message names the first difference.
    """
    where = f"The checkpoint {path} does not fit the model"
    for name in sorted(set(own) ^ set(header)):
        raise RunError(f"{where}: it {'lacks' if name in own else 'has'} '{name}'.")
    for name, tensor in own.items():
        info = header[name]
        if info.shape != tuple(tensor.shape):
            raise RunError(
                f"{where}: '{name}' has the shape {info.shape} there and {tuple(tensor.shape)} "
                "here."
            )
        expected = _NAMES.get(tensor.dtype)
        if info.dtype != expected:
            raise RunError(
                f"{where}: '{name}' is of the type {info.dtype} there and {expected} here."
            )


def check_size(state: Header, weights: Header, path: Path) -> None:
    """Check that a checkpoint's optimiser state is not far larger than its weights allow.

    Raises:
        RunError: it is too large.
    """
    if total_bytes(state) > _FACTOR * total_bytes(weights) + _SLACK_BYTES:
        raise RunError(
            f"The checkpoint {path} holds {total_bytes(state):,} bytes of optimisers' state for "
            f"{total_bytes(weights):,} bytes of weights: aigc did not write it."
        )

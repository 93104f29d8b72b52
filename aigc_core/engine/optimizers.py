"""Optimisers of phases: made, guarded on the device, saved by name and restored exactly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from aigc_core.errors import RunError
from aigc_core.interfaces import OptimizerConfig


def build_optimizer(config: OptimizerConfig, parameters: list[Tensor]) -> Optimizer:
    """Make a fused optimiser: one kernel for all parameters, which can skip on the device."""
    common: dict[str, Any] = {
        "lr": config.lr,
        "weight_decay": config.weight_decay,
        "fused": True,
    }
    groups: list[dict[str, Any]] = [{"params": parameters}]
    if config.decay_matrices_only:
        groups = [
            {"params": [p for p in parameters if p.dim() >= 2]},
            {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
        ]
        groups = [group for group in groups if group["params"]]
    if config.name == "sgd":
        optimizer = torch.optim.SGD(groups, momentum=config.momentum, **common)
        if config.momentum:
            # PyTorch makes these uninitialised and lets the first update fill them, which the
            # guard may skip. From zeros, the first update is the same: 0 * momentum + gradient.
            for parameter in parameters:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return optimizer
    cls = torch.optim.Adam if config.name == "adam" else torch.optim.AdamW
    return cls(groups, betas=config.betas, eps=config.eps, **common)


def optimizer_state(optimizer: Optimizer, names: Mapping[Tensor, str]) -> dict[str, Tensor]:
    """Return an optimiser's tensors as ``<parameter>/<key>``; what is not yet there is left out."""
    return {
        f"{names[parameter]}/{key}": value
        for parameter, values in optimizer.state.items()
        for key, value in values.items()
        if isinstance(value, Tensor)
    }


_KEYS = {
    "adam": {"step", "exp_avg", "exp_avg_sq"},
    "adamw": {"step", "exp_avg", "exp_avg_sq"},
    "sgd": {"momentum_buffer"},
}


def check_optimizer_state(
    config: OptimizerConfig, names: Mapping[Tensor, str], tensors: Mapping[str, Tensor]
) -> None:
    """Raise ``RunError`` for state that is not of this kind of optimiser and these parameters."""
    found: dict[str, set[str]] = {}
    shapes = {name: parameter.shape for parameter, name in names.items()}
    for full_name, tensor in tensors.items():
        name, _, key = full_name.rpartition("/")
        if name not in shapes:
            raise RunError(f"The checkpoint has optimiser state for '{name}', which is not there.")
        if not tensor.is_floating_point():
            raise RunError(f"The checkpoint's optimiser state of '{name}' is of {tensor.dtype}.")
        if tensor.shape != (torch.Size() if key == "step" else shapes[name]):
            raise RunError(f"The checkpoint's optimiser state of '{name}' has another shape.")
        found.setdefault(name, set()).add(key)
    for name, keys in found.items():
        if keys != _KEYS[config.name]:
            raise RunError(
                f"The checkpoint was written with another optimiser than '{config.name}': it has "
                f"{', '.join(sorted(keys))} for '{name}'."
            )


@torch.no_grad()
def restore_optimizer(
    optimizer: Optimizer, names: Mapping[Tensor, str], tensors: Mapping[str, Tensor]
) -> None:
    """Put back what ``optimizer_state`` returned, each tensor in its own type, device and layout.

    ``load_state_dict`` would cast to the parameter's type and forget channels_last strides
    (pytorch #103256), and fused kernels want both right. ``check_optimizer_state`` comes first.
    """
    by_name = {name: parameter for parameter, name in names.items()}
    optimizer.state.clear()
    for full_name, tensor in tensors.items():
        name, _, key = full_name.rpartition("/")
        parameter = by_name[name]
        if tensor.shape == parameter.shape and tensor.dim() > 0:
            restored = torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)
        else:
            restored = tensor.to(parameter.device, copy=True)
        optimizer.state[parameter][key] = restored

"""The phases' optimisers and their learning rates."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from aigc_core.errors import ConfigError, did_you_mean
from aigc_core.interfaces import OptimizerConfig, Phase

_FUSED = ("adam", "adamw", "sgd")
_UNUSABLE = ("LBFGS", "Optimizer", "SparseAdam")
"""One calls the loss itself, several times a step; one is for sparse gradients only."""
_OWN_FIELDS = ("betas", "eps", "momentum", "weight_decay")


def build_optimizer(
    phase: Phase, parameters: list[nn.Parameter], device: torch.device
) -> Optimizer:
    """Make the optimiser of a phase.

    Adam, AdamW and SGD are fused: one kernel for all parameters, which can skip an update by
    itself. Others are any class of ``torch.optim`` by its name.

    Raises:
        ConfigError: there is no such optimiser, or it does not take a setting; names the phase.
    """
    config = phase.optimizer
    groups: list[dict[str, Any]] = [{"params": parameters}]
    if config.decay_matrices_only:
        groups = [
            {"params": [p for p in parameters if p.dim() >= 2]},
            {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
        ]
        groups = [group for group in groups if group["params"]]
    if config.name not in _FUSED:
        return _by_name(phase, groups, device)
    if config.options:
        raise ConfigError(
            f"Phase '{phase.name}': the optimiser '{config.name}' has no further options, such as "
            f"'{next(iter(config.options))}'."
        )
    common: dict[str, Any] = {
        "lr": config.lr,
        "weight_decay": config.weight_decay,
        "fused": True,
    }
    if config.name == "sgd":
        optimizer = torch.optim.SGD(groups, momentum=config.momentum, **common)
        if config.momentum:
            # PyTorch leaves these uninitialised for the first update to fill, which the guard
            # may skip. From zeros, the first update is the same: 0 * momentum + gradient.
            for parameter in parameters:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return optimizer
    cls = torch.optim.Adam if config.name == "adam" else torch.optim.AdamW
    return cls(groups, betas=config.betas, eps=config.eps, **common)


def _by_name(phase: Phase, groups: list[dict[str, Any]], device: torch.device) -> Optimizer:
    """Make an optimiser that is not fused; see ``update``."""
    config, where = phase.optimizer, f"Phase '{phase.name}'"
    classes = {
        name.lower(): found
        for name, found in vars(torch.optim).items()
        if isinstance(found, type) and issubclass(found, Optimizer) and name not in _UNUSABLE
    }
    cls: Any = classes.get(config.name.lower())
    if cls is None:
        names = [found.__name__ for found in classes.values()]
        raise ConfigError(
            f"{where}: there is no usable optimiser '{config.name}' in torch.optim."
            + did_you_mean(config.name, names)
        )
    takes = inspect.signature(cls).parameters
    given = {name: getattr(config, name) for name in _OWN_FIELDS if name in config.model_fields_set}
    given = {"lr": config.lr, **given, **config.options}
    for name in given:
        if name not in takes or name in ("params", "foreach", "differentiable"):
            own = [n for n in takes if n not in ("params", "foreach", "differentiable")]
            raise ConfigError(f"{where}: {cls.__name__} has no '{name}'.{did_you_mean(name, own)}")
    if "weight_decay" not in takes:
        groups = [{"params": group["params"]} for group in groups]
    if "capturable" in takes and device.type == "cuda":
        given["capturable"] = True  # its counters are on the device, so that it need not wait
    try:
        optimizer: Optimizer = cls(groups, **given)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {cls.__name__} refuses its settings: {error}") from error
    return optimizer


@torch.no_grad()
def update(optimizer: Optimizer, parameters: Sequence[Tensor], skip: Tensor) -> None:
    """Do one update, unless ``skip`` () float32 is 1; the host does not wait.

    A fused optimiser skips by itself. Of another, parameters and state are copied before, and put
    back on the device. Only its first update makes the host wait, since it creates the state, as do
    the few that keep counters on the host while training on a GPU.
    """
    if optimizer.defaults.get("fused"):
        # The contract of fused optimisers with torch.amp.GradScaler: 1 means "do nothing".
        optimizer.found_inf = skip  # type: ignore[attr-defined]
        optimizer.step()
        return
    trained = [p for p in parameters if p.grad is not None]
    if any(p not in optimizer.state for p in trained):
        if not skip.item():
            optimizer.step()
        return
    before = {(p, key): t.clone() for p in trained for key, t in _tensors(optimizer, p)}
    weights = torch._foreach_add(trained, 0)  # copies
    optimizer.step()
    skipped = skip.bool()
    for parameter, weight in zip(trained, weights, strict=True):
        torch.where(skipped, weight, parameter, out=parameter)
        for key, tensor in _tensors(optimizer, parameter):
            flag = skipped.to(tensor.device)
            torch.where(flag, before[parameter, key], tensor, out=tensor)


def _tensors(optimizer: Optimizer, parameter: Tensor) -> list[tuple[str, Tensor]]:
    state = optimizer.state[parameter]
    return [(key, value) for key, value in state.items() if isinstance(value, Tensor)]


def state_keys(optimizer: Optimizer, dims: int) -> set[str]:
    """Return the names of the tensors that an optimiser keeps for a parameter of ``dims``."""
    example = nn.Parameter(torch.zeros([2] * dims))
    example.grad = torch.zeros([2] * dims)
    groups = [{**optimizer.param_groups[0], "params": [example]}]
    kind: Any = type(optimizer)
    fresh = kind(groups)
    fresh.step()
    return {key for key, _ in _tensors(fresh, example)}


def learning_rate(config: OptimizerConfig, step: int, total_steps: int) -> float:
    """Return the learning rate of a step, counted from 0: a pure function, so nothing is saved.

    It rises linearly over ``warmup_steps``, from lr/(warmup + 1) to lr, and then follows the
    schedule down to ``final_lr`` at ``decay_steps`` (or ``total_steps``), where it stays. Cosine:
    Loshchilov & Hutter 2017, "SGDR", equation 5, without restarts.
    """
    if step < config.warmup_steps:
        return config.lr * (step + 1) / (config.warmup_steps + 1)
    if config.schedule == "constant":
        return config.lr
    length = (config.decay_steps or total_steps) - config.warmup_steps
    progress = min(1.0, (step - config.warmup_steps) / max(1, length))
    left = 1 - progress if config.schedule == "linear" else (1 + math.cos(math.pi * progress)) / 2
    return config.final_lr + (config.lr - config.final_lr) * left

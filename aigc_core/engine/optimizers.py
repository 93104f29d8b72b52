"""The phases' optimisers and their learning rates."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from aigc_core.interfaces import OptimizerConfig


def build_optimizer(config: OptimizerConfig, parameters: list[Tensor]) -> Optimizer:
    """Make a fused optimiser: one kernel for all parameters, which can skip an update by itself."""
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
            # PyTorch leaves these uninitialised for the first update to fill, which the guard
            # may skip. From zeros, the first update is the same: 0 * momentum + gradient.
            for parameter in parameters:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return optimizer
    cls = torch.optim.Adam if config.name == "adam" else torch.optim.AdamW
    return cls(groups, betas=config.betas, eps=config.eps, **common)


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

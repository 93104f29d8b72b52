"""Learning rates as a pure function of the step, so that resuming needs no scheduler's state."""

from __future__ import annotations

import math

from aigc_core.interfaces import OptimizerConfig


def learning_rate(config: OptimizerConfig, step: int, total_steps: int) -> float:
    """Return the learning rate of a step, counted from 0.

    It rises linearly over ``warmup_steps``, from lr/(warmup + 1) to lr, and then follows the
    schedule down to ``final_lr`` at ``decay_steps`` (or the run's end), where it stays. Cosine:
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

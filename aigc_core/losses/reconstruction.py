"""How badly a sample is reconstructed: negative log-likelihoods, in nats per sample.

x is a sample in [-1, 1], r the network's raw output for it, of the same shape; m = tanh(r / 2) is
the reconstruction. Losses are summed over a sample's values and averaged over the batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from aigc_core.errors import ConfigError, did_you_mean


def reconstruction_of(raw: Tensor) -> Tensor:
    """Return m = tanh(r / 2) in (-1, 1), which is 2 σ(r) - 1."""
    return torch.tanh(raw / 2)


def bernoulli(raw: Tensor, samples: Tensor) -> Tensor:
    """Return -E log p with p(x) = σ(r)^b (1 - σ(r))^(1-b), b = (x + 1) / 2.

    Kingma & Welling 2014, "Auto-Encoding Variational Bayes", appendix C.1. A likelihood for binary
    data; for values in between it is the cross-entropy, not a likelihood.
    """
    targets = (samples + 1) / 2
    nats = binary_cross_entropy_with_logits(raw.float(), targets.float(), reduction="none")
    return nats.flatten(1).sum(1).mean()  # (B, *shape) -> (B, D) -> (B,) -> ()


def gaussian(raw: Tensor, samples: Tensor, scale: float = 0.1) -> Tensor:
    """Return -E log N(x; m, scale²): the squared error, with its constant."""
    error = ((samples.float() - reconstruction_of(raw.float())) / scale).square()
    constant = 2 * math.log(scale) + math.log(2 * math.pi)
    return 0.5 * (error + constant).flatten(1).sum(1).mean()


def laplace(raw: Tensor, samples: Tensor, scale: float = 0.1) -> Tensor:
    """Return -E log Laplace(x; m, scale): the absolute error, with its constant."""
    error = (samples.float() - reconstruction_of(raw.float())).abs() / scale
    return (error + math.log(2 * scale)).flatten(1).sum(1).mean()


_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "bernoulli": bernoulli,
    "gaussian": gaussian,
    "laplace": laplace,
}


def reconstruction_loss(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a loss ``(raw, samples) -> ()`` by name; raise ``ConfigError`` for an unknown one."""
    if name not in _LOSSES:
        raise ConfigError(f"There is no reconstruction loss '{name}'.{did_you_mean(name, _LOSSES)}")
    return _LOSSES[name]

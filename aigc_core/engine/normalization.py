"""Batch normalisation over the rows of all processes, as one process would see them.

Ioffe & Szegedy 2015, "Batch Normalization". PyTorch's ``SyncBatchNorm`` takes no CPU tensors, and
has no second derivative, which gradient penalties need. This one is made of differentiable sums.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from aigc_core.engine.distributed import Processes, current


class SharedBatchNorm(_BatchNorm):
    """A ``BatchNorm`` of any dimension whose mean and variance are those of all processes."""

    processes: ClassVar[Processes | None] = None  # for tests; None for those that train

    def _check_input_dim(self, input: Tensor) -> None:
        """Take ``(B, C)`` and ``(B, C, …)``."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        processes = self.processes or current()
        x = input if input.dtype == torch.float64 else input.float()
        dims, shape = [0, *range(2, x.dim())], [1, -1, *[1] * (x.dim() - 2)]
        count = x.numel() // x.shape[1] * processes.size
        mean = processes.total(x.sum(dims)) / count  # (C,)
        centred = x - mean.view(shape)
        variance = processes.total(centred.square().sum(dims)) / count  # (C,)
        if self.track_running_stats:
            self._follow(mean.detach(), variance.detach() * (count / max(1, count - 1)))
        normal = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            normal = normal * self.weight.view(shape) + self.bias.view(shape)
        return normal.to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics, as ``BatchNorm`` does."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        momentum = self.momentum
        weight = 1 / self.num_batches_tracked.float() if momentum is None else momentum
        self.running_mean.lerp_(mean, weight)
        self.running_var.lerp_(variance, weight)


def share_batch_norm(networks: Iterable[nn.Module]) -> None:
    """Let all batch normalisation of networks see the rows of all processes.

    Modules stay the same objects, with the same names: only their class changes.
    """
    for network in networks:
        for module in network.modules():
            if isinstance(module, _BatchNorm):
                module.__class__ = SharedBatchNorm

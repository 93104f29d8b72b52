"""The exponential moving average of the generator's weights, which samples are drawn from."""

from __future__ import annotations

import copy

import torch

from aigc_core.interfaces import Generator


class ExponentialMovingAverage:
    """A copy of a generator whose parameters follow the original's average.

    Buffers are copied, not averaged: the average of a flag or counter is neither, and running
    statistics are averages already.

    At step t the decay is min(decay, (1 + t) / (10 + t)), so that a short run does not average in
    its random start. All updates are fused and never wait for the device.
    """

    def __init__(self, generator: Generator, decay: float) -> None:
        """Copy ``generator``; ``decay`` in (0, 1), such as 0.999."""
        self.decay = decay
        self.generator = copy.deepcopy(generator).requires_grad_(False)
        source = dict(generator.named_parameters())
        target = dict(self.generator.named_parameters())
        averaged = [name for name in source if source[name].is_floating_point()]
        self._averaged = (
            [target[name].data for name in averaged],
            [source[name].data for name in averaged],
        )
        self._source = generator

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Follow the original after the step with this number, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(*self._averaged, 1 - decay)
        # Looked up each time: a forward pass may have replaced a buffer.
        copies = list(self.generator.buffers()), list(self._source.buffers())
        if copies[0]:
            torch._foreach_copy_(*copies)

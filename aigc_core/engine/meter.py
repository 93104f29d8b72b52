"""Means over a log interval, kept on the device and read once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Meter:
    """Sums of named scalars. Adding never waits for the device; reading waits once."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, name: str, value: Tensor) -> None:
        """Add a scalar to the mean called ``name``."""
        if name not in self.sums:
            self.sums[name] = torch.zeros((), device=self.device)
            self.counts[name] = 0
        self.sums[name] += value.detach()
        self.counts[name] += 1

    def read(self, extra: Sequence[Tensor] = ()) -> tuple[dict[str, float], list[float]]:
        """Return the means since the last reading, and further scalars read in the same wait.

        Returns:
            The means by name, in the order of their first appearance, and the values of ``extra``.
        """
        names = list(self.sums)
        values = torch.stack([*(self.sums[name] for name in names), *extra]).tolist()
        means = {n: v / self.counts[n] for n, v in zip(names, values, strict=False)}
        self.sums, self.counts = {}, {}
        return means, values[len(names) :]

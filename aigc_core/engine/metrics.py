"""Training metrics: summed on the device, read back with one wait per log interval."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from aigc_core.engine.optimizers import learning_rate
from aigc_core.engine.step import PhaseRunner
from aigc_core.errors import TrainingError


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
        """Return the means since the last read, and further scalars read in the same wait.

        Returns:
            The means by name, in order of first appearance, and the values of ``extra``.
        """
        names = list(self.sums)
        values = torch.stack([*(self.sums[name] for name in names), *extra]).tolist()
        means = {n: v / self.counts[n] for n, v in zip(names, values, strict=False)}
        self.sums, self.counts = {}, {}
        return means, values[len(names) :]


class LogInterval:
    """Means and rate since the last log, and all updates skipped so far."""

    def __init__(
        self,
        runners: Sequence[PhaseRunner],
        device: torch.device,
        samples_per_step: int,
        samples: int,
    ) -> None:
        """Start the first interval; ``samples`` is the size of the data."""
        self._runners = runners
        self._samples_per_step = samples_per_step
        self._samples = samples
        self._skipped_in_a_row = 0.0
        self.meter = Meter(device)
        self.start = (0, 0.0)
        """Step and seconds of training at the last log."""

    def read(self, step: int, seconds: float, schedule_steps: int) -> dict[str, float]:
        """Return the interval's metrics by flat name, and start the next interval."""
        counts = torch.stack([runner.guard.counts for runner in self._runners])  # (P, 2)
        extra = [counts[:, 0].max(), counts[:, 1].sum()]
        metrics, (self._skipped_in_a_row, skipped) = self.meter.read(extra)
        metrics["skipped_updates"] = skipped
        steps, elapsed = step - self.start[0], seconds - self.start[1]
        metrics["epoch"] = step * self._samples_per_step / self._samples
        metrics["samples_per_second"] = steps * self._samples_per_step / max(elapsed, 1e-9)
        for runner in self._runners:
            ran = f"loss/{runner.phase.name}" in metrics
            if ran and runner.phase.optimizer.scheduled:
                lr = learning_rate(runner.phase.optimizer, step - 1, schedule_steps)
                metrics[f"learning_rate/{runner.phase.name}"] = lr
        self.start = (step, seconds)
        return metrics

    def check(self, step: int, max_skipped_steps: int) -> None:
        """Raise ``TrainingError`` if too many updates in a row were skipped at the last read."""
        if self._skipped_in_a_row >= max_skipped_steps:
            raise TrainingError(
                f"Training diverged: at step {step}, the last {self._skipped_in_a_row:.0f} updates "
                "of a phase had losses or gradients that are not finite and were skipped. Start a "
                "new run with a lower learning rate, clip_grad_norm, or engine.precision=fp32."
            )

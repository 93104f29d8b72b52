"""The numbers of a log interval, read from the device in one wait."""

from __future__ import annotations

import torch

from aigc_core.engine.meter import Meter
from aigc_core.engine.schedules import learning_rate
from aigc_core.engine.step import StepRunner
from aigc_core.errors import TrainingError


class LogInterval:
    """From the last log to this one: means, rate, and updates that were skipped."""

    def __init__(self, steps: StepRunner, samples_per_step: int, samples: int) -> None:
        """Watch steps over ``samples`` samples of data."""
        self._steps = steps
        self._samples_per_step = samples_per_step
        self._samples = samples
        self._skipped_in_a_row = 0.0
        self.meter = Meter(steps.device)
        self.start = (0, 0.0)
        """Step and seconds of training at the last log."""

    def read(self, step: int, seconds: float, total_steps: int) -> dict[str, float]:
        """Return the interval's metrics by flat name, and begin another."""
        counts = torch.stack([runner.guard.counts for runner in self._steps.runners])  # (P, 2)
        extra = [counts[:, 0].max(), counts[:, 1].sum()]
        metrics, (self._skipped_in_a_row, skipped) = self.meter.read(extra)
        metrics["skipped_updates"] = skipped
        steps, elapsed = step - self.start[0], seconds - self.start[1]
        metrics["epoch"] = step * self._samples_per_step / self._samples
        metrics["samples_per_second"] = steps * self._samples_per_step / max(elapsed, 1e-9)
        for runner in self._steps.runners:
            if runner.phase.optimizer.scheduled:
                lr = learning_rate(runner.phase.optimizer, step - 1, total_steps)
                metrics[f"learning_rate/{runner.phase.name}"] = lr
        self.start = (step, seconds)
        return metrics

    def check(self, step: int, max_skipped_steps: int) -> None:
        """Raise ``TrainingError`` if, when last read, too many updates in a row were skipped."""
        if self._skipped_in_a_row >= max_skipped_steps:
            raise TrainingError(
                f"Training diverged: at step {step}, the last {self._skipped_in_a_row:.0f} updates "
                "of a phase had losses or gradients that are not finite and were skipped. Start a "
                "new run with a lower learning rate, clip_grad_norm, or engine.precision=fp32."
            )

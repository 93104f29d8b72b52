"""What validations decide: which one is the best so far, and whether the training may end."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from aigc_core.config import EngineConfig
from aigc_core.config.durations import duration
from aigc_core.errors import ConfigError, did_you_mean, nearest
from aigc_core.state import Best, Ending, Outcome

LOSS = "validation/loss"  # lower is better, as the contract of ``Trainer.validation`` says


@dataclass(frozen=True)
class FitResult:
    """How a call of ``fit`` ended."""

    step: int
    signal: int | None
    """The signal that stopped it, or None."""
    ending: Ending | None = None
    """Why the training ended: all steps done, standard reached, patience lost, its time over, or
    stopped by an observer or the trainer. None if it was paused, or stopped by a signal."""


class Stopping:
    """Judges each validation."""

    def __init__(
        self,
        config: EngineConfig,
        higher: Collection[str] = (),
        *,
        compares: bool = False,
    ) -> None:
        """Judge by a configuration.

        Args:
            config: the engine's settings.
            higher: the measures that are better when higher; all others are better when lower.
            compares: whether generated samples are compared with held-out ones.
        """
        self._config = config
        self._compares = compares
        self._standard = config.standard
        self._patience = config.patience
        self._metric = config.checkpoint.keep_best
        if self._metric == "auto" and config.standard is not None:
            self._metric = config.standard.metric
        self._declared = {f"validation/{name}" for name in higher}
        self._higher = set(self._declared)
        if config.standard is not None and config.standard.higher_is_better:
            self._higher.add(config.standard.metric)
        self._stale = 0  # validations since the best one
        self.best: Best | None = None
        self.ending: Ending | None = None

    def check(self, names: Collection[str] | None) -> None:
        """Check the settings against what validations measure, by name; None: no held-out data.

        Raises:
            ConfigError: what a setting names is not measured, or a bound is on the wrong side.
        """
        if not names:
            lacking = "no held-out data" if names is None else "nothing that is measured there"
            raise ConfigError(
                f"engine.{self._config.needs_validation} needs validation, and there is {lacking}."
            )
        if self._config.validation_metrics and not self._compares:
            raise ConfigError(
                "engine.validation_metrics names metrics, and the engine was given none: compare=…"
            )
        asked = {"checkpoint.keep_best": self._config.checkpoint.keep_best}
        if self._standard is not None:
            asked = {"standard.metric": self._standard.metric, **asked}
        for key, name in asked.items():
            if name is not None and name not in ("auto", *names):
                known = f" Measured: {', '.join(sorted(names))}." if nearest(name, names) else ""
                raise ConfigError(
                    f"engine.{key}={name} is not measured at validations."
                    f"{did_you_mean(name, names)}{known}"
                )
        if self._standard is None:
            return
        name, higher = self._standard.metric, self._standard.higher_is_better
        if (higher and name == LOSS) or (not higher and name in self._declared):
            right, sign = ("at_least", ">=") if not higher else ("at_most", "<=")
            raise ConfigError(
                f"The standard {self._standard} is on the wrong side: {name} is better when "
                f"{'lower' if higher else 'higher'}. Give {right}, on the command line {sign}"
            )

    def judge(self, step: int, measured: Mapping[str, float]) -> bool:
        """Judge one validation; return whether it is the best so far."""
        improved = False
        if self._metric == "auto":  # until the first validation
            self._metric = LOSS if LOSS in measured else next(iter(measured), "auto")
        if self._metric is not None:
            improved = self._is_better(measured.get(self._metric, math.nan))
            self._stale = 0 if improved else self._stale + 1
            if improved:
                self.best = Best(metric=self._metric, value=measured[self._metric], step=step)
        if self._standard is not None:
            value = measured.get(self._standard.metric, math.nan)
            if self._standard.reached_by(value):
                message = f"reached the standard {self._standard} with {value:.6g} at step {step:,}"
                self.ending = Ending(
                    reason="standard", message=message, standard=str(self._standard)
                )
                return improved
        if self._patience is not None and self._stale >= self._patience:
            times = "1 validation" if self._stale == 1 else f"{self._stale} validations"
            message = f"found no better {self._metric} in {times} up to step {step:,}"
            if self.best is not None:
                message += f" than {self.best.value:.6g} at step {self.best.step:,}"
            self.ending = Ending(reason="patience", message=message + self._missed())
        return improved

    def out_of_steps(self, steps: int) -> None:
        """End because all steps are done, unless there is another reason."""
        if self.ending is None:
            message = f"did all {steps:,} steps{self._missed()}"
            self.ending = Ending(reason="steps", message=message)

    def check_time(self, step: int, seconds: float) -> None:
        """End if ``max_time`` is over, unless there is another reason."""
        limit = self._config.max_time
        if limit is not None and seconds >= limit and self.ending is None:
            message = f"trained for {duration(limit)}, its max_time, up to step {step:,}"
            self.ending = Ending(reason="time", message=message + self._missed())

    def stop(self, step: int, reason: str) -> None:
        """End because an observer or the trainer asked for it, unless there is another reason."""
        if self.ending is None:
            message = f"was stopped at step {step:,}: {reason}"
            self.ending = Ending(reason="stopped", message=message)

    def _missed(self) -> str:
        if self._standard is None:
            return ""
        message = f"; the standard {self._standard} was not reached"
        if self.best is not None and self.best.metric == self._standard.metric:
            message += f": the best was {self.best.value:.6g} at step {self.best.step:,}"
        return message

    def _is_better(self, value: float) -> bool:
        if not math.isfinite(value):
            return False
        if self.best is None or self.best.metric != self._metric:
            return True
        higher = self._metric in self._higher
        return value > self.best.value if higher else value < self.best.value

    @property
    def outcome(self) -> Outcome:
        """The outcome of all validations so far, for a checkpoint."""
        return Outcome(best=self.best, stale=self._stale, ending=self.ending)

    def resume_from(self, outcome: Outcome) -> None:
        """Restore a checkpoint's outcome except its ending: whoever resumes wants more steps."""
        self.best, self.ending = outcome.best, None
        self._stale = 0 if outcome.ending else outcome.stale

    def forget_best(self) -> None:
        """Let the next validation be the best, as when the best one's checkpoint is gone."""
        self.best = None
        self._stale = 0

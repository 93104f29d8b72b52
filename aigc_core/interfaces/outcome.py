"""How a training went: the best of its validations, and why it ended. Free of torch."""

from __future__ import annotations

from typing import Literal

from aigc_core.interfaces.config import ConfigModel


class Best(ConfigModel):
    """The best validation so far."""

    metric: str
    value: float
    step: int

    def __str__(self) -> str:
        """Return it as a part of a sentence."""
        return f"{self.metric} {self.value:.6g} at step {self.step:,}"


class Ending(ConfigModel):
    """Why a training came to its end."""

    reason: Literal["steps", "standard", "patience"]
    told: str
    """The same as a part of a sentence: ``reached the standard validation/loss <= 1.85 …``."""
    standard: str | None = None
    """The standard that was reached."""


class Outcome(ConfigModel):
    """What all validations of a training come to."""

    best: Best | None = None
    stale: int = 0
    """Validations since the best one."""
    ending: Ending | None = None

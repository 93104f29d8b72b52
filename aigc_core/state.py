"""What an engine and a run's folder exchange: a training's whole state, and how it went.

Free of torch, so that listings of runs answer at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import AliasChoices, Field

from aigc_core.interfaces.config import ConfigModel

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class State:
    """All that a training needs to resume exactly as if it had not stopped."""

    weights: Mapping[str, Tensor]
    """``<network>.<name>`` and, for the averaged generator, ``ema.<name>``."""
    tensors: Mapping[str, Tensor]
    """The optimisers' state, and the running sums of an unfinished log interval."""
    scalars: Mapping[str, Any]
    """Counters; plain JSON data."""


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

    reason: Literal["steps", "standard", "patience", "stopped"]
    message: str = Field(validation_alias=AliasChoices("message", "told"))
    """The same as a part of a sentence: ``reached the standard validation/loss <= 1.85 …``."""
    standard: str | None = None
    """The standard that was reached."""


class Outcome(ConfigModel):
    """What all validations of a training come to."""

    best: Best | None = None
    stale: int = 0
    """Validations since the best one."""
    ending: Ending | None = None

"""What an engine and a run's folder exchange: the full training state and the outcome.

Does not import torch, so that listing runs is fast.
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
    """Everything needed to resume training exactly as if it had not stopped."""

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
        """Return it as part of a sentence."""
        return f"{self.metric} {self.value:.6g} at step {self.step:,}"


class Ending(ConfigModel):
    """Why training ended."""

    reason: Literal["steps", "standard", "patience", "time", "stopped"]
    message: str = Field(validation_alias=AliasChoices("message", "told"))
    """The reason as part of a sentence: ``reached the standard validation/loss <= 1.85 …``."""
    standard: str | None = None
    """The standard that was reached, if any."""


class Outcome(ConfigModel):
    """The result of all validations so far, and why training ended, if it has."""

    best: Best | None = None
    stale: int = 0
    """Number of validations since the best one."""
    ending: Ending | None = None

"""The whole state of a training, as named tensors and plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from aigc_core.errors import RunError, shown
from aigc_core.interfaces.outcome import Outcome


@dataclass(frozen=True)
class EngineState:
    """All that a training needs to go on exactly as if it had not stopped."""

    weights: Mapping[str, Tensor]
    """``<network>.<name>`` and, for the averaged generator, ``ema.<name>``."""
    tensors: Mapping[str, Tensor]
    """Optimisers' state and the means of an unfinished log interval."""
    scalars: Mapping[str, Any]
    """Counters; plain JSON data."""


class Scalars(BaseModel):
    """Counters as a checkpoint should have them; more is not looked at."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    step: int = Field(ge=0, le=10**9)
    samples_per_step: int = Field(ge=1)
    train_seconds: float = Field(ge=0)
    logged: tuple[int, float] = Field(strict=False)
    meter_counts: dict[str, int]
    validations: Outcome = Field(default_factory=Outcome, strict=False)


def read_scalars(state: EngineState) -> Scalars:
    """Return a state's counters.

    Raises:
        RunError: they are not what a checkpoint has; names the first.
    """
    try:
        found = Scalars.model_validate(dict(state.scalars))
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise RunError(f"The checkpoint's state.json is not valid, at '{place}'.") from None
    sums = below(state.tensors, "meter/")
    for name, count in found.meter_counts.items():
        if count < 1 or name not in sums or sums[name].dim():
            raise RunError(f"The checkpoint's mean of '{shown(name)}' is not there, or no mean.")
    return found


def below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names start with ``prefix``, without it."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


@torch.no_grad()
def load_weights(modules: Mapping[str, nn.Module], weights: Mapping[str, Tensor]) -> None:
    """Copy ``<module>.<name>`` weights into modules, in place; all or, on an error, none.

    Raises:
        RunError: names or shapes differ; the message gives the first.
    """
    own = {f"{m}.{k}": v for m, module in modules.items() for k, v in module.state_dict().items()}
    for name in sorted(set(own) ^ set(weights)):
        where = "lacks" if name in own else "has"
        raise RunError(f"The checkpoint does not fit the model: it {where} '{name}'.")
    for name, value in own.items():
        if value.shape != weights[name].shape:
            raise RunError(
                f"The checkpoint does not fit the model: '{name}' has the shape "
                f"{tuple(weights[name].shape)} there and {tuple(value.shape)} here."
            )
    for name, value in own.items():
        value.copy_(weights[name])

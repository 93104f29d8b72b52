"""When training is good enough to stop: a metric and the value it has to reach."""

from __future__ import annotations

import math
import re
from typing import Any

from pydantic import Field, model_validator

from aigc_core.errors import ConfigError, shown
from aigc_core.interfaces.config import ConfigModel


class StandardConfig(ConfigModel):
    """Stops training at the first validation that meets it; steps or epochs remain the limit."""

    metric: str = Field(min_length=1)
    """The metric to watch, such as validation/loss: a name in metrics.jsonl."""
    at_most: float | None = None
    """Met when the metric is at most this. Give either this or at_least."""
    at_least: float | None = None
    """Met when the metric is at least this."""

    @model_validator(mode="after")
    def _one_bound(self) -> StandardConfig:
        if (self.at_most is None) == (self.at_least is None):
            both = ", not both" if self.at_most is not None else ""
            raise ValueError(f"give at_most or at_least{both}")
        return self

    @property
    def higher_is_better(self) -> bool:
        """Whether the metric has to rise to meet the bound."""
        return self.at_least is not None

    def reached_by(self, value: float) -> bool:
        """Whether a value meets the standard; a non-finite value never does."""
        if not math.isfinite(value):
            return False
        if self.at_least is not None:
            return value >= self.at_least
        return self.at_most is not None and value <= self.at_most

    def __str__(self) -> str:
        """Return the standard in the form of ``--until``: ``validation/loss <= 1.85``."""
        sign, bound = (">=", self.at_least) if self.higher_is_better else ("<=", self.at_most)
        brief = f"{bound:g}"  # 3 rather than 3.0, if that loses nothing
        return f"{self.metric} {sign} {brief if float(brief) == bound else repr(bound)}"


def parse_standard(text: str) -> dict[str, Any]:
    """Parse an ``--until`` text such as ``validation/loss<=1.85`` into settings by dotted key.

    Raises:
        ConfigError: the text does not have that form.
    """
    match = re.fullmatch(r"\s*([^<>=\s]+)\s*(<=|>=)\s*(\S+)\s*", text)
    try:
        if match is None:
            raise ValueError
        metric, sign, bound = match[1], match[2], float(match[3])
        if math.isnan(bound):
            raise ValueError
    except ValueError:
        raise ConfigError(
            f"--until {shown(text)} is not valid: it should be a metric, <= or >=, and a number, "
            'in quotes because a shell takes < and > for its own: "validation/loss<=1.85"'
        ) from None
    return {
        "engine.standard.metric": metric,
        f"engine.standard.{'at_most' if sign == '<=' else 'at_least'}": bound,
    }

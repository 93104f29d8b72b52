"""Settings of the flow's network, and how clouds are drawn; free of torch."""

from typing import Literal

from pydantic import Field

from aigc_core import ConfigModel, FlowControls


class FlowNetworkConfig(ConfigModel):
    """A network in which points see each other through a few tokens."""

    condition: Literal["none", "class"] = "none"
    """What the network is given: nothing, or a cloud's class."""
    width: int = Field(default=128, ge=8, le=2048)
    """Values by which the network describes a point; divisible by 4."""
    layers: int = Field(default=6, ge=1, le=64)
    """How often tokens read the points, and points the tokens."""
    tokens: int = Field(default=32, ge=1, le=4096)
    """How many tokens."""


class CloudControls(FlowControls):
    """How a flow is followed from noise to a cloud."""

    points: int | None = Field(default=None, ge=1, le=1 << 20)
    """How many points a cloud gets; null for as many as those of the data."""

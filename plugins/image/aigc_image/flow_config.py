"""Settings of the flow's network; free of torch."""

from typing import Literal

from pydantic import Field

from aigc_core import ConfigModel


class FlowNetworkConfig(ConfigModel):
    """A U-Net over patches of the image."""

    condition: Literal["none", "class", "text"] = "none"
    """What the network is given: nothing, an image's class, or its caption."""
    patch: Literal[1, 2, 4] = 2
    """Pixels of a patch's side, whose values are one place's channels: 2 costs a quarter of 1."""
    width: int = Field(default=64, ge=8, le=1024)
    """Channels of the first level."""
    multipliers: tuple[int, ...] = Field(default=(1, 2, 2), min_length=1, max_length=6)
    """Channels of each level by those of the first; each level halves the image's side."""
    blocks: int = Field(default=2, ge=1, le=8)
    """Residual blocks of a level."""
    attention_levels: int = Field(default=1, ge=0, le=6)
    """How many levels, from the smallest, have attention, to the words of a caption too."""
    text_layers: int = Field(default=2, ge=1, le=24)
    """Layers of the transformer that reads captions."""

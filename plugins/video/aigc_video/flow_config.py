"""Settings of the flow's network and training; free of torch."""

from typing import Literal

from pydantic import Field

from aigc_core import ConfigModel, FlowConfig


class FlowNetworkConfig(ConfigModel):
    """A U-Net of three dimensions over patches of the clip."""

    condition: Literal["none", "class"] = "none"
    """What the network is given: nothing, or a clip's class."""
    first_frame: bool = False
    """Whether it can also be given a clip's first frame, which it continues."""
    patch: Literal[1, 2, 4, 8] = 2
    """Pixels of a patch's side, whose values are one place's channels: 4 costs a quarter of 2."""
    patch_frames: Literal[1, 2, 4] = 2
    """Frames of a patch."""
    width: int = Field(default=64, ge=8, le=1024)
    """Channels of the first level."""
    multipliers: tuple[int, ...] = Field(default=(1, 2, 2), min_length=1, max_length=6)
    """Channels of each level by those of the first; each level halves time, height and width."""
    blocks: int = Field(default=2, ge=1, le=8)
    """Residual blocks of a level."""
    attention_levels: int = Field(default=1, ge=0, le=6)
    """How many levels, from the smallest, have attention, over space and time."""


class VideoFlowConfig(FlowConfig):
    """Settings of flow matching on clips."""

    first_frame_dropout: float = Field(default=0.5, ge=0, lt=1)
    """Share of clips whose first frame is hidden, where the network can be given one; the class is
    hidden by itself, as condition_dropout says."""

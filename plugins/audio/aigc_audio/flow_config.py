"""Settings of the flow's network; free of torch."""

from typing import Literal

from pydantic import Field

from aigc_core import ConfigModel


class FlowNetworkConfig(ConfigModel):
    """A U-Net over patches of the spectrogram."""

    condition: Literal["none", "class"] = "none"
    """What the network is given: nothing, or a clip's class."""
    size: Literal[32, 64, 128] = 64
    """Number of mel bands and of frames; clips' length must be a multiple of it."""
    patch: Literal[1, 2, 4] = 2
    """Bands and frames of a patch's side, whose levels are one place's channels."""
    width: int = Field(default=64, ge=8, le=1024)
    """Channels of the first level."""
    multipliers: tuple[int, ...] = Field(default=(1, 2, 2), min_length=1, max_length=4)
    """Channels of each level by those of the first; each level halves the spectrogram's sides."""
    blocks: int = Field(default=2, ge=1, le=8)
    """Residual blocks of a level."""

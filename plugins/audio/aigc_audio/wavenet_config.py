"""Settings of WaveNet's network; free of torch."""

from pydantic import Field

from aigc_core import ConfigModel


class WaveNetConfig(ConfigModel):
    """Stacks of causal convolutions whose dilation doubles from layer to layer."""

    stacks: int = Field(default=3, ge=1, le=10)
    """Number of stacks; each has the dilations 1, 2, 4, …."""
    layers: int = Field(default=10, ge=1, le=14)
    """Layers per stack; the last looks back 2^(layers - 1) samples."""
    width: int = Field(default=64, ge=4, le=1024)
    """Channels of the residual connections and the gated units."""
    skip_width: int = Field(default=256, ge=4, le=4096)
    """Channels of the skip connections and the layers after them."""
    levels: int = Field(default=256, ge=16, le=1024)
    """Mu-law levels of a sample; 256 is 8 bits."""
    conditional: bool = False
    """Generate sound by class: a learned vector of the label is added in every gated unit."""

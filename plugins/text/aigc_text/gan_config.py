"""Settings of the networks of text/gan; free of torch."""

from pydantic import Field

from aigc_core import ConfigModel


class TextGANConfig(ConfigModel):
    """Two convolutional networks over the positions of a text."""

    latent_size: int = Field(default=128, ge=1, le=4096)
    """Length of the latent vector."""
    width: int = Field(default=96, ge=4, le=2048)
    """Channels of all layers."""
    blocks: int = Field(default=3, ge=1, le=64)
    """Residual blocks of each network; each lets a position see four more on either side."""
    temperature: float = Field(default=1.0, gt=0, le=100)
    """Of the softmax through which gradients of a drawn token flow: lower is closer to the draw,
    with larger gradients."""
    conditional: bool = False
    """Generate text by class: both networks get the label."""

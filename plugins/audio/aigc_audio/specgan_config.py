"""Settings of SpecGAN's networks; free of torch."""

from typing import Literal

from pydantic import Field

from aigc_core import ConfigModel


class SpecGANConfig(ConfigModel):
    """The two networks, and the spectrogram that they see."""

    size: Literal[64, 128] = 64
    """Number of mel bands and of frames; clips' length must be a multiple of it."""
    latent_size: int = Field(default=100, ge=1, le=4096)
    """Length of the latent vector."""
    width: int = Field(default=64, ge=4, le=512)
    """Channels of the layers next to the spectrogram; each layer further away has twice as many."""
    conditional: bool = False
    """Generate sound by class: generator and discriminator get the label."""

"""Settings of WaveGAN's networks; free of torch."""

from typing import Literal

from pydantic import Field

from aigc_core import ConfigModel


class WaveGANConfig(ConfigModel):
    """The two networks. Their depth depends on the clips' length."""

    latent_size: int = Field(default=100, ge=1, le=4096)
    """Length of the latent vector."""
    width: int = Field(default=64, ge=4, le=512)
    """Channels of the layers next to the waveform; each layer further away has twice as many."""
    generator_normalization: Literal["none", "batch"] = "none"
    """none, as in the paper; batch learns faster."""
    phase_shuffle: int = Field(default=2, ge=0, le=16)
    """Largest random shift, in samples, between the discriminator's layers; 0 for none."""
    conditional: bool = False
    """Generate sound by class: generator and discriminator get the label."""

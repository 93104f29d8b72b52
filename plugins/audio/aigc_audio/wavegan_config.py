"""Settings of WaveGAN's networks; free of torch."""

from typing import Literal

from pydantic import Field

from aigc_core import ConfigModel


class WaveGANConfig(ConfigModel):
    """The two networks. Their depth follows the clips' length."""

    latent_size: int = Field(default=100, ge=1, le=4096)
    """Length of the latent vector."""
    width: int = Field(default=64, ge=4, le=512)
    """Channels of the layers next to the waveform; doubles with every layer away from it."""
    generator_normalization: Literal["none", "batch"] = "none"
    """none, as in the paper; batch learns faster."""
    phase_shuffle: int = Field(default=2, ge=0, le=16)
    """Samples by which the discriminator shifts what it sees in each layer, at most; 0 for none."""
    conditional: bool = False
    """Ask for classes: latents and labels make a sound, and the discriminator knows the label."""

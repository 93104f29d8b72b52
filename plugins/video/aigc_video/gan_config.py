"""Settings of the GAN's networks; free of torch."""

from typing import Literal

from pydantic import Field

from aigc_core import ConfigModel


class VideoGANConfig(ConfigModel):
    """The two networks. Each doubling of the frames' size adds a layer to both."""

    latent_size: int = Field(default=100, ge=1, le=4096)
    """Length of the latent vector."""
    width: int = Field(default=64, ge=4, le=512)
    """Channels of the layers next to the clip; each layer further away has twice as many."""
    discriminator_normalization: Literal["batch", "layer", "none"] = "batch"
    """batch as in the paper; layer or none for losses that treat each sample alone (WGAN-GP)."""
    condition: Literal["none", "class"] = "none"
    """What the networks are given: nothing, or a clip's class. The generator gets it beside the
    latents; the discriminator projects its features on a vector of it (Miyato & Koyama 2018)."""

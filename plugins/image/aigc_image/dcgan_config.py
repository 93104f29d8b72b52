"""Settings of DCGAN's networks; free of torch."""

from typing import Literal

from pydantic import Field

from aigc_core import ConfigModel


class DCGANConfig(ConfigModel):
    """The two networks. Their depth follows the images' size: one layer more per doubling."""

    latent_size: int = Field(default=100, ge=1, le=4096)
    """Length of the latent vector."""
    width: int = Field(default=64, ge=4, le=512)
    """Channels of the layers next to the image; doubles with every layer away from it."""
    discriminator_normalization: Literal["batch", "layer", "none"] = "batch"
    """batch, as in the paper; layer or none for losses that look at each sample alone (WGAN-GP)."""
    initialization: Literal["dcgan", "pytorch"] = "dcgan"
    """dcgan: weights from N(0, 0.02), as in the paper; pytorch: the framework's defaults."""
    conditional: bool = False
    """Ask for classes: latents and labels make an image, and the discriminator knows the label."""
    discriminator_labels: Literal["projection", "auxiliary"] = "projection"
    """How a conditional discriminator uses labels: by an inner product with the label's vector
    (Miyato & Koyama 2018), or by telling them itself (AC-GAN, Odena et al. 2017)."""

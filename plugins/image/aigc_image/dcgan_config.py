"""Settings of DCGAN's networks; free of torch."""

from typing import Literal

from pydantic import Field

from aigc_core import ConfigModel


class DCGANConfig(ConfigModel):
    """The two networks. Each doubling of the images' size adds a layer to both."""

    latent_size: int = Field(default=100, ge=1, le=4096)
    """Length of the latent vector."""
    width: int = Field(default=64, ge=4, le=512)
    """Channels of the layers next to the image; each layer further away has twice as many."""
    discriminator_normalization: Literal["batch", "layer", "none"] = "batch"
    """batch as in the paper; layer or none for losses that treat each sample alone (WGAN-GP)."""
    initialization: Literal["dcgan", "pytorch"] = "dcgan"
    """dcgan: weights from N(0, 0.02), as in the paper; pytorch: the framework's defaults."""
    conditional: bool = False
    """Generate images by class: the generator gets the label beside the latents."""
    discriminator_labels: Literal["projection", "auxiliary"] = "projection"
    """How a conditional discriminator uses labels. projection: inner product with a label vector
    (Miyato & Koyama 2018); auxiliary: it predicts the label (AC-GAN, Odena et al. 2017)."""

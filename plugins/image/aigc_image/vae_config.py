"""Settings of the VAE's networks; free of torch."""

from pydantic import Field

from aigc_core import ConfigModel


class VAEConfig(ConfigModel):
    """Encoder and decoder. Each doubling of the images' size adds a layer to both."""

    latent_size: int = Field(default=50, ge=1, le=4096)
    """Length of the latent vector."""
    width: int = Field(default=32, ge=4, le=512)
    """Channels of the layers next to the image; each layer further away has twice as many."""
    hidden_size: int = Field(default=256, ge=4, le=8192)
    """Units of the layer between convolutions and latents."""
    conditional: bool = False
    """Generate images by class: encoder and decoder get the label (Sohn et al. 2015)."""

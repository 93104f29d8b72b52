"""Settings of the VAE's networks; free of torch."""

from pydantic import Field

from aigc_core import ConfigModel


class VAEConfig(ConfigModel):
    """Encoder and decoder. Their depth follows the images' size: one layer more per doubling."""

    latent_size: int = Field(default=50, ge=1, le=4096)
    """Length of the latent vector."""
    width: int = Field(default=32, ge=4, le=512)
    """Channels of the layers next to the image; doubles with every layer away from it."""
    hidden_size: int = Field(default=256, ge=4, le=8192)
    """Units of the layer between convolutions and latents."""
    conditional: bool = False
    """Ask for classes: encoder and decoder know the label (Sohn et al. 2015)."""

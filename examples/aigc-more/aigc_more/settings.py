"""Settings of the recipe and the dataset; free of torch."""

from pydantic import Field, PositiveInt

from aigc_core import ConfigModel, OptimizerConfig


class VAEConfig(ConfigModel):
    """The network."""

    latent_size: PositiveInt = 16
    """Length of the latent vector."""
    width: PositiveInt = 64
    """Features of the first layer; the others are multiples of it."""


class VAETrainerConfig(ConfigModel):
    """The loss, and the optimiser that lowers it."""

    kl_weight: float = Field(default=0.01, ge=0)
    """Weight of the Kullback-Leibler term: more gives smoother latents and blurrier clouds."""
    optimizer: OptimizerConfig = OptimizerConfig(lr=1e-3)
    """The only optimiser."""


class PlyFolderOptions(ConfigModel):
    """The folder's files."""

    points: PositiveInt = 512
    """How many points each cloud has; files with another number are left out."""

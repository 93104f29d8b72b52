"""Settings of the joint flow; free of torch."""

from typing import Literal

from pydantic import Field

from aigc_core import ConfigModel, OptimizerConfig, PrivacyConfig


class JointNetworkConfig(ConfigModel):
    """A network for each column, a U-Net or one for sets, and a transformer between halves."""

    width: int = Field(default=64, ge=8, le=1024)
    """Channels of each U-Net's first level; twice as many on the second, four times from there.
    Members of a set have about twice as many."""
    grid: int = Field(default=256, ge=1, le=65_536)
    """How many places of a column its U-Net's first level has, at most: where there are more,
    patches become channels."""
    blocks: int = Field(default=2, ge=1, le=8)
    """Residual blocks of a level."""
    trunk: int = Field(default=192, ge=16, le=4096)
    """Width of the transformer, in which columns see each other; divisible by 4."""
    layers: int = Field(default=4, ge=1, le=64)
    """Layers of the transformer."""
    places: int = Field(default=64, ge=1, le=4096)
    """How many places of a column the transformer sees, at most, where its sides can be halved."""


class JointTrainingConfig(ConfigModel):
    """Flow matching of several columns, as they will be drawn (Bao et al. 2023)."""

    given: float = Field(default=0.5, ge=0, lt=1)
    """Probability that a column of a sample is given, without noise; the others are then learned
    together, at one time. If all were given, none is."""
    alone: float = Field(default=0.15, ge=0, lt=1)
    """Share of samples of which a single column is learned, by itself: what guidance leads away
    from."""
    time_mean: float = Field(default=-0.8, ge=-5, le=5)
    """Mean of the times' logits, which are normal with variance 1 (Esser et al. 2024): the lower,
    the more of the training is at times at which columns are nearly noise. There it is decided
    what they are about, and so whether they agree."""
    optimizer: OptimizerConfig = OptimizerConfig(
        name="adamw",
        lr=1e-3,
        betas=(0.9, 0.99),
        weight_decay=0.01,
        decay_matrices_only=True,
        schedule="cosine",
        warmup_steps=100,
        final_lr=1e-5,
        clip_grad_norm=1.0,
    )
    """The optimiser."""
    privacy: PrivacyConfig | None = None
    """Differential privacy of the training data; null for none."""


class JointControls(ConfigModel):
    """How samples are drawn."""

    steps: int = Field(default=25, ge=1, le=1000)
    """Steps from noise to samples."""
    solver: Literal["adams", "euler", "heun"] = "adams"
    """How a step is made; heun asks the network twice."""
    guidance: float = Field(default=2.0, ge=0, le=20)
    """How much columns heed each other: 1 as in the data; more: each is moved away from what it
    would be alone, at the cost of one more evaluation of the network for each column made."""

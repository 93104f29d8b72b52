"""Settings of networks that recipes of several modalities share; free of torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from aigc_core.interfaces.config import ConfigModel


class TransformerConfig(ConfigModel):
    """A transformer over tokens."""

    layers: int = Field(default=6, ge=1, le=256)
    """Number of blocks, each attention and a feed-forward network."""
    heads: int = Field(default=6, ge=1, le=256)
    """Attention heads per block; they share the width and must divide it."""
    width: int = Field(default=384, ge=4, le=16384)
    """Length of the vectors that pass through the blocks."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Dropout probability: higher for small data, 0 for short training."""
    conditional: bool = False
    """Generate by class: a learned vector of the label is added to every token's."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> TransformerConfig:
        if self.width % self.heads:
            raise ValueError(f"heads={self.heads} does not divide width={self.width}")
        return self


class QuantizedAutoencoderConfig(ConfigModel):
    """Encoder, codebook and decoder, for signals of one, two or three dimensions."""

    codes: int = Field(default=256, ge=2, le=65_536)
    """Vectors in the codebook."""
    code_size: int = Field(default=8, ge=1, le=1024)
    """Length of each."""
    halvings: int = Field(default=2, ge=1, le=8)
    """How often the sides of a sample are halved: 2 of 32x32 values make a grid of 8x8 codes."""
    width: int = Field(default=64, ge=4, le=2048)
    """Channels of the convolutions."""
    blocks: int = Field(default=2, ge=0, le=32)
    """Residual blocks of encoder and decoder."""


class LatentFlowConfig(ConfigModel):
    """A U-Net over the latents of an autoencoder."""

    condition: Literal["none", "class"] = "none"
    """What the network is given: nothing, or a sample's class."""
    width: int = Field(default=64, ge=8, le=1024)
    """Channels of the first level."""
    multipliers: tuple[int, ...] = Field(default=(1, 2), min_length=1, max_length=6)
    """Channels of each level by those of the first; each level halves the latents' sides."""
    blocks: int = Field(default=2, ge=1, le=8)
    """Residual blocks of a level."""

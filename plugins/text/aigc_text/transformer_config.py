"""Settings of the transformers over tokens; free of torch."""

from pydantic import Field, model_validator

from aigc_core import ConfigModel


class TransformerConfig(ConfigModel):
    """A transformer over tokens. ``dataset.options.context`` sets how many it sees."""

    layers: int = Field(default=6, ge=1, le=256)
    """Number of blocks, each attention and a feed-forward network."""
    heads: int = Field(default=6, ge=1, le=256)
    """Attention heads per block; they share the width and must divide it."""
    width: int = Field(default=384, ge=4, le=16384)
    """Length of the vectors that pass through the blocks."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Dropout probability: higher for small data, 0 for short training."""
    conditional: bool = False
    """Generate text by class: a learned vector of the label is added to every token's."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "TransformerConfig":
        if self.width % self.heads:
            raise ValueError(f"heads={self.heads} does not divide width={self.width}")
        return self


class GPTConfig(TransformerConfig):
    """A decoder-only transformer. ``dataset.options.context`` sets how far it looks back."""

    tied_embeddings: bool = True
    """Use the same weights for token embeddings and logits (Press & Wolf 2017)."""

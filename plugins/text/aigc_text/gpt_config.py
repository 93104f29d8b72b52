"""Settings of the GPT's network; free of torch."""

from pydantic import Field, model_validator

from aigc_core import ConfigModel


class GPTConfig(ConfigModel):
    """A decoder-only transformer. How far it looks back is ``dataset.options.context``."""

    layers: int = Field(default=6, ge=1, le=256)
    """Blocks of attention and feed-forward network."""
    heads: int = Field(default=6, ge=1, le=256)
    """Heads of each attention; they share the width."""
    width: int = Field(default=384, ge=4, le=16384)
    """Length of the vectors that pass through the blocks."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Probability with which values are dropped: more for small data, 0 for short training."""
    tied_embeddings: bool = True
    """Let tokens have one vector each for coming in and going out (Press & Wolf 2017)."""
    conditional: bool = False
    """Ask for classes: the label's learned vector is added to every token's."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "GPTConfig":
        if self.width % self.heads:
            raise ValueError(f"heads={self.heads} does not divide width={self.width}")
        return self

"""Settings of the transformers over tokens; free of torch."""

from aigc_core.networks.config import TransformerConfig

__all__ = ["GPTConfig", "TransformerConfig"]


class GPTConfig(TransformerConfig):
    """A decoder-only transformer. ``dataset.options.context`` sets how far it looks back."""

    tied_embeddings: bool = True
    """Use the same weights for token embeddings and logits (Press & Wolf 2017)."""

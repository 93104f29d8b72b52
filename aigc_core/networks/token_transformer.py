"""What transformers over tokens have in common."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from aigc_core.networks.config import TransformerConfig
from aigc_core.networks.token_cache import TokenCache
from aigc_core.networks.transformer import Block


class TokenTransformer(nn.Module):
    """Embeddings of tokens and positions are added; blocks follow, a layer norm and the logits.

    If conditional, the label's embedding is added to every token's.
    """

    blocks: nn.ModuleList

    def make_layers(
        self,
        config: TransformerConfig,
        *,
        inputs: int,
        outputs: int,
        length: int,
        classes: int,
        causal: bool,
    ) -> None:
        """Make the layers.

        Args:
            config: sizes.
            inputs: tokens that can be read.
            outputs: tokens that there are logits of.
            length: of sequences, at most.
            classes: of samples; 0 without.
            causal: whether a position sees only those before it, and itself.
        """
        self.dropout = config.dropout
        self.token_embedding = nn.Embedding(inputs, config.width)
        self.position_embedding = nn.Parameter(torch.empty(length, config.width))
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, config.dropout, causal) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)
        self.logits = nn.Linear(config.width, outputs, bias=False)
        self.label_embedding = nn.Embedding(classes, config.width) if classes else None

    def forward(self, tokens: Tensor, condition: Tensor | None = None) -> Tensor:
        """Map int64 tokens ``(B, T)``, and labels ``(B,)``, to logits ``(B, T, outputs)``."""
        added = self.added_to_tokens(tokens.shape[1], condition)
        x = self.embedded(tokens) + added  # (B, T, W)
        if self.dropout and self.training:
            x = dropout(x, self.dropout)
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.logits(self.norm(x))
        return logits

    def embedded(self, tokens: Tensor) -> Tensor:
        """Return the vectors of tokens ``(B, T)``, ``(B, T, W)``, without positions."""
        vectors: Tensor = self.token_embedding(tokens)
        return vectors

    def added_to_tokens(self, length: int, condition: Tensor | None) -> Tensor:
        """Return what is added to token embeddings: (T, W), or (B, T, W) with labels ``(B,)``."""
        positions = self.position_embedding[:length]
        if self.label_embedding is None:
            return positions
        labels: Tensor = self.label_embedding(condition)
        return positions + labels[:, None]

    def cache(
        self, batch: int, condition: Tensor | None, length: int, window: Callable[[int], int]
    ) -> TokenCache:
        """Return an empty cache, with which a causal transformer draws token by token.

        Args:
            batch: how many sequences are drawn at once.
            condition: labels ``(batch,)``, or None.
            length: of the longest window.
            window: maps the number of tokens so far to how many the next one depends on.
        """
        return TokenCache(
            embedding=self.token_embedding,
            added=self.added_to_tokens(length, condition),
            blocks=[block for block in self.blocks if isinstance(block, Block)],
            norm=self.norm,
            logits=self.logits,
            window=window,
            batch=batch,
        )

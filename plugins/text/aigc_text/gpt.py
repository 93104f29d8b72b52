"""A GPT: the decoder-only transformer of Radford et al. 2018 and 2019, with a cache for sampling.

Tokens and their positions become vectors; each block adds attention over what came before and a
feed-forward network, both after a layer normalisation; a last one leads to the logits.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, gelu, scaled_dot_product_attention

from aigc_core import AutoregressiveGenerator, AutoregressiveTrainer, RecipeContext
from aigc_text.gpt_config import GPTConfig
from aigc_text.tokenizers import tokenizer_from_json


@dataclass
class Cache:
    """Keys and values of the tokens in the window, in memory that is reserved once."""

    tokens: Tensor
    """int64 ``(B, C)``: what the window may hold; the first ``length`` are there."""
    keys: list[Tensor]
    """``(B, H, C, D)`` by layer."""
    values: list[Tensor]
    """Likewise."""
    length: int = 0
    """Tokens in the window."""
    total: int = 0
    """Tokens so far, those included that the window has left behind."""


class Block(nn.Module):
    """Attention over what came before, then a feed-forward network of four times the width.

    Layers are called by ``forward``: with one token at a time, a call's own cost is what counts.
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.dropout = config.dropout
        self.attention_norm = nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.feed_norm = nn.LayerNorm(width)
        self.feed_in = nn.Linear(width, 4 * width, bias=False)
        self.feed_out = nn.Linear(4 * width, width, bias=False)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values of each head: (B, T, W) -> 3 x (B, H, T, D)."""
        packed: Tensor = self.queries_keys_values.forward(
            self.attention_norm.forward(x)
        )  # (B, T, 3 W)
        batch, length, _ = packed.shape
        heads = packed.view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        queries, keys, values = heads.unbind()
        return queries, keys, values

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Add what attention found, ``(B, H, T, D)``, and the feed-forward network's part."""
        p = self.dropout if self.training else 0.0
        attended = self.attention_out.forward(attended.transpose(1, 2).flatten(2))  # -> (B, T, W)
        x = x + (dropout(attended, p) if p else attended)
        fed = self.feed_out.forward(gelu(self.feed_in.forward(self.feed_norm.forward(x))))
        return x + (dropout(fed, p) if p else fed)

    def extend(self, x: Tensor, keys: Tensor, values: Tensor, start: int) -> Tensor:
        """Take vectors ``(B, n, W)`` of all tokens from ``start`` = 0, or of one more."""
        end = start + x.shape[1]
        queries, *new = self.split(x)
        for kept, found in zip((keys, values), new, strict=True):
            kept.narrow(2, start, end - start).copy_(found)
        attended = scaled_dot_product_attention(
            queries, keys.narrow(2, 0, end), values.narrow(2, 0, end), is_causal=start == 0
        )
        return self.finish(x, attended)

    def forward(self, x: Tensor) -> Tensor:
        p = self.dropout if self.training else 0.0
        queries, keys, values = self.split(x)
        if x.device.type == "cpu" and queries.dtype == torch.bfloat16:
            # PyTorch's bf16 kernel for CPUs goes back through short sequences four times slower.
            with torch.autocast("cpu", enabled=False):
                attended = scaled_dot_product_attention(
                    queries.float(), keys.float(), values.float(), dropout_p=p, is_causal=True
                )
        else:
            attended = scaled_dot_product_attention(
                queries, keys, values, dropout_p=p, is_causal=True
            )
        return self.finish(x, attended)


class GPT(AutoregressiveGenerator):
    """Tokens ``(B, T)`` with T up to ``context`` to logits ``(B, T, vocabulary)``.

    Sampling goes on beyond the context. Positions are learned, so a window that moved by a token
    would have to be computed anew as a whole. It moves by half a context instead: when it is full,
    its older half is forgotten and the other becomes its beginning. A token is drawn from between
    half a context and a whole one before it; see ``window``.
    """

    sample_chunk = 8  # step by step, but a few cost little more than one

    def __init__(self, config: GPTConfig, vocabulary_size: int, context: int) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary_size
        self.context = context
        self.sample_length = context + 1
        self.heads = config.heads
        self.dropout = config.dropout
        self.token_vectors = nn.Embedding(vocabulary_size, config.width)
        self.position_vectors = nn.Parameter(torch.empty(context, config.width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.logits = nn.Linear(config.width, vocabulary_size, bias=False)
        if config.tied_embeddings:
            self.logits.weight = self.token_vectors.weight
        self._initialize(config)

    def _initialize(self, config: GPTConfig) -> None:
        """Draw weights as GPT-2: N(0, 0.02), less where blocks add to what passes through."""
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                adds = name.endswith(("attention_out.weight", "feed_out.weight"))
                nn.init.normal_(
                    parameter, 0.0, 0.02 / math.sqrt(2 * config.layers) if adds else 0.02
                )

    def forward(self, tokens: Tensor, condition: Tensor | None = None) -> Tensor:
        x = self.token_vectors(tokens) + self.position_vectors[: tokens.shape[1]]  # (B, T, W)
        if self.dropout and self.training:
            x = dropout(x, self.dropout)
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.logits(self.norm(x))
        return logits

    def window(self, total: int) -> int:
        """Return how many of ``total`` tokens, the newest, the next one is drawn from."""
        if total <= self.context:
            return total
        kept = self.context // 2
        return kept + 1 + (total - self.context - 1) % (self.context - kept)

    def new_cache(self, batch: int, condition: Tensor | None = None) -> Cache:
        weight = self.position_vectors  # for its type and device
        heads = self.heads
        shape = (batch, heads, self.context, weight.shape[1] // heads)
        return Cache(
            tokens=weight.new_empty((batch, self.context), dtype=torch.int64),
            keys=[weight.new_empty(shape) for _ in self.blocks],
            values=[weight.new_empty(shape) for _ in self.blocks],
        )

    def next_logits(self, tokens: Tensor, cache: Cache) -> Tensor:
        """Take further tokens ``(B, n)`` and return the logits ``(B, vocabulary)`` after them.

        They are those of ``forward`` on the newest ``window(total)`` tokens.
        """
        cache.total += tokens.shape[1]
        end = self.window(cache.total)
        start = cache.length
        if tokens.shape[1] > 1 or end != start + 1:  # the prompt, or a window that has moved
            tokens = torch.cat([cache.tokens[:, :start], tokens], dim=1)[:, -end:]
            start = 0
        cache.tokens[:, start:end] = tokens
        cache.length = end
        x = self.token_vectors(tokens) + self.position_vectors[start:end]  # (B, n, W)
        for block, keys, values in zip(self.blocks, cache.keys, cache.values, strict=True):
            x = block.extend(x, keys, values, start)  # type: ignore[operator]
        logits: Tensor = self.logits(self.norm(x[:, -1]))  # (B, n, W) -> (B, vocabulary)
        return logits


def build(context: RecipeContext) -> AutoregressiveTrainer:
    """Make the trainer for windows of tokens, one longer than the context."""
    (length,) = context.sample_shape
    generator = GPT(context.model, int(context.spec.units["vocabulary_size"]), length - 1)
    generator.start_token = tokenizer_from_json(context.spec.assets["tokenizer"]).start
    return AutoregressiveTrainer(generator, context.trainer)

"""A GPT: the decoder-only transformer of Radford et al. 2018 and 2019, with a cache for sampling.

Tokens and their positions become vectors; each block adds attention over what came before and a
feed-forward network, both after a layer normalisation; a last one leads to the logits.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, gelu, scaled_dot_product_attention

from aigc_core import AutoregressiveGenerator, AutoregressiveTrainer, RecipeContext
from aigc_text.gpt_cache import Cache
from aigc_text.gpt_config import GPTConfig
from aigc_text.tokenizers import tokenizer_from_json


class Block(nn.Module):
    """Attention over what came before, then a feed-forward network of four times the width.

    ``gpt_cache.LayerCache`` does the same for one token at a time.
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

    def forward(self, x: Tensor) -> Tensor:
        p = self.dropout if self.training else 0.0
        packed: Tensor = self.queries_keys_values(self.attention_norm(x))  # (B, T, 3 W)
        heads = packed.view(*x.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        queries, keys, values = heads.unbind()  # (B, H, T, D) each
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
        attended = self.attention_out(attended.transpose(1, 2).flatten(2))  # -> (B, T, W)
        x = x + (dropout(attended, p) if p else attended)
        fed = self.feed_out(gelu(self.feed_in(self.feed_norm(x))))
        return x + (dropout(fed, p) if p else fed)


class GPT(AutoregressiveGenerator):
    """Tokens ``(B, T)`` with T up to ``context`` to logits ``(B, T, vocabulary)``.

    Sampling continues beyond the context. Positions are learned, so a window that moved by a token
    would have to be computed anew as a whole. It moves by half a context instead: when it is full,
    its older half is forgotten and the other becomes its beginning. A token is drawn from between
    half a context and a whole one before it; see ``window``.

    A conditional one adds its label's learned vector to every token's.
    """

    sample_chunk = 8  # step by step, but a few cost little more than one

    def __init__(
        self, config: GPTConfig, vocabulary_size: int, context: int, classes: int = 0
    ) -> None:
        super().__init__()
        self.label_count = classes
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
        if classes:
            self.label_vectors = nn.Embedding(classes, config.width)
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
        x = self.token_vectors(tokens) + self.place_vectors(tokens.shape[1], condition)  # (B, T, W)
        if self.dropout and self.training:
            x = dropout(x, self.dropout)
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.logits(self.norm(x))
        return logits

    def place_vectors(self, length: int, condition: Tensor | None) -> Tensor:
        """Return what is added to tokens, (T, W), or (B, T, W) where there are labels ``(B,)``."""
        positions = self.position_vectors[:length]
        if not self.label_count:
            return positions
        labels: Tensor = self.label_vectors(condition)
        return positions + labels[:, None]

    def window(self, total: int) -> int:
        """Return how many of ``total`` tokens, the newest, the next one is drawn from."""
        if total <= self.context:
            return total
        kept = self.context // 2
        return kept + 1 + (total - self.context - 1) % (self.context - kept)

    def new_cache(self, batch: int, condition: Tensor | None = None) -> Cache:
        return Cache(self, batch, condition)

    def next_logits(self, tokens: Tensor, cache: Cache) -> Tensor:
        """Take further tokens ``(B, n)`` and return the logits ``(B, vocabulary)`` after them.

        They are those of ``forward`` on the newest ``window(total)`` tokens.
        """
        return cache.take(tokens)


def build(context: RecipeContext) -> AutoregressiveTrainer:
    """Make the trainer for windows of tokens, one longer than the context."""
    (length,) = context.sample_shape
    classes = context.classes_if(context.model.conditional)
    vocabulary_size = int(context.spec.units["vocabulary_size"])
    generator = GPT(context.model, vocabulary_size, length - 1, classes)
    generator.start_token = tokenizer_from_json(context.spec.assets["tokenizer"]).start
    return AutoregressiveTrainer(generator, context.trainer)

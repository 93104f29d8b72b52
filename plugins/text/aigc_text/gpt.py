"""A GPT: the decoder-only transformer of Radford et al. 2018 and 2019, with a cache for sampling.

Embeddings of tokens and positions are added; each block adds causal attention and an MLP; a final
layer normalisation precedes the logits.
"""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from aigc_core import AutoregressiveGenerator, AutoregressiveTrainer, RecipeContext
from aigc_core.networks import TokenCache, TokenTransformer, initialize_transformer
from aigc_text.tokenizers import tokenizer_from_json
from aigc_text.transformer_config import GPTConfig


class GPT(TokenTransformer, AutoregressiveGenerator):
    """Tokens ``(B, T)`` with T up to ``context`` to logits ``(B, T, vocabulary)``.

    Sampling continues beyond the context. Position embeddings are learned, so moving the window by
    one token would mean recomputing all of it. It moves by half a context instead: when it is full,
    its older half is dropped and the newer half becomes its beginning. So each token is drawn from
    between half a context and a whole one before it; see ``window``.

    If conditional, the label's embedding is added to every token's.
    """

    sample_chunk = 8  # token by token, but a few samples cost little more than one
    former_names: ClassVar[Mapping[str, str]] = {
        r"token_vectors\.weight": "token_embedding.weight",
        r"position_vectors": "position_embedding",
        r"label_vectors\.weight": "label_embedding.weight",
        r"(blocks\.\d+)\.queries_keys_values\.weight": r"\1.attention.qkv.weight",
        r"(blocks\.\d+)\.attention_out\.weight": r"\1.attention.attention_out.weight",
        r"(blocks\.\d+)\.feed_norm\.(weight|bias)": r"\1.mlp_norm.\2",
        r"(blocks\.\d+)\.feed_(in|out)\.weight": r"\1.mlp.mlp_\2.weight",
    }

    def __init__(
        self, config: GPTConfig, vocabulary_size: int, context: int, classes: int = 0
    ) -> None:
        super().__init__()
        self.label_count = classes
        self.vocabulary_size = vocabulary_size
        self.context = context
        self.sample_length = context + 1
        self.heads = config.heads
        self.make_layers(
            config,
            inputs=vocabulary_size,
            outputs=vocabulary_size,
            length=context,
            classes=classes,
            causal=True,
        )
        if config.tied_embeddings:
            self.logits.weight = self.token_embedding.weight
        initialize_transformer(self)

    def window(self, total: int) -> int:
        """Return how many of the newest of ``total`` tokens the next one is drawn from."""
        if total <= self.context:
            return total
        kept = self.context // 2
        return kept + 1 + (total - self.context - 1) % (self.context - kept)

    def new_cache(self, batch: int, condition: Tensor | None = None) -> TokenCache:
        return self.cache(batch, condition, self.context, self.window)

    def next_logits(self, tokens: Tensor, cache: TokenCache) -> Tensor:
        """Append tokens ``(B, n)`` and return the logits ``(B, vocabulary)`` after them.

        These equal ``forward``'s on the newest ``window(total)`` tokens.
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

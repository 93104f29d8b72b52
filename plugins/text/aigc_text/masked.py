"""Text that is filled in anywhere: a transformer in which all tokens see each other.

See ``aigc_core.trainers.masked`` (Sahoo et al. 2024).
"""

from aigc_core import MaskedGenerator, MaskedTrainer, RecipeContext
from aigc_text.transformer import TokenTransformer
from aigc_text.transformer_config import TransformerConfig


class MaskedTransformer(TokenTransformer, MaskedGenerator):
    """Tokens ``(B, T)``, some of them hidden, to logits ``(B, T, vocabulary)``."""

    def __init__(
        self, config: TransformerConfig, vocabulary_size: int, length: int, classes: int = 0
    ) -> None:
        super().__init__()
        self.label_count = classes
        self.vocabulary_size = vocabulary_size
        self.sample_length = length
        self.make_layers(
            config,
            inputs=vocabulary_size + 1,  # the last is hidden
            outputs=vocabulary_size,
            length=length,
            classes=classes,
            causal=False,
        )
        self.initialize(config.layers)


def build(context: RecipeContext) -> MaskedTrainer:
    """Make the trainer for windows of tokens."""
    (length,) = context.sample_shape
    classes = context.classes_if(context.model.conditional)
    vocabulary_size = int(context.spec.units["vocabulary_size"])
    generator = MaskedTransformer(context.model, vocabulary_size, length, classes)
    return MaskedTrainer(generator, context.trainer)

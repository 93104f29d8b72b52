"""Text that is filled in anywhere: a transformer in which all tokens see each other.

See ``aigc_core.trainers.masked`` (Sahoo et al. 2024).
"""

from torch import Tensor, nn

from aigc_core import MaskedGenerator, MaskedTrainer, RecipeContext
from aigc_core.networks import TokenTransformer, initialize_transformer
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
        # A hidden token says nothing of its own: without its neighbours, attention would first have
        # to find out which positions lie beside each other, which takes thousands of steps.
        self.neighbours = nn.Conv1d(config.width, config.width, 7, padding=3, groups=config.width)
        initialize_transformer(self)

    def embedded(self, tokens: Tensor) -> Tensor:
        vectors = super().embedded(tokens)
        beside: Tensor = self.neighbours(vectors.transpose(1, 2)).transpose(1, 2)  # (B, T, W)
        return vectors + beside


def build(context: RecipeContext) -> MaskedTrainer:
    """Make the trainer for windows of tokens."""
    (length,) = context.sample_shape
    classes = context.classes_if(context.model.conditional)
    vocabulary_size = int(context.spec.units["vocabulary_size"])
    generator = MaskedTransformer(context.model, vocabulary_size, length, classes)
    return MaskedTrainer(generator, context.trainer)

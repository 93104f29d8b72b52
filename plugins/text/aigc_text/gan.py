"""A GAN of text: all tokens are drawn at once, and a critic reads them.

Networks and critic as in Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", section
5.3, where the critic reads probabilities. Here tokens are drawn, so that it cannot tell a text by
its being sure, and gradients flow through a softmax instead: the straight-through Gumbel-softmax of
Jang et al. 2017, "Categorical Reparameterization with Gumbel-Softmax".
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, relu

from aigc_core import AdversarialTrainer, Discriminator, LatentGenerator, RecipeContext
from aigc_core.networks import with_label
from aigc_text.gan_config import TextGANConfig


class ResidualConvolutions(nn.Module):
    """``(B, C, T)`` to the same shape: 0.3 times two convolutions, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv1d(channels, channels, 5, padding=2)
        self.conv_out = nn.Conv1d(channels, channels, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.conv_out(relu(self.conv_in(relu(x))))
        return x + 0.3 * changed


class TextGenerator(LatentGenerator):
    """Latents to one-hot tokens ``(B, vocabulary, T)``.

    Latents are standard normal, ``(B, latent_size + vocabulary * T)``: a vector for the whole text,
    and a number for each token that could be drawn, which becomes its Gumbel noise.
    """

    def __init__(
        self, config: TextGANConfig, vocabulary_size: int, length: int, classes: int = 0
    ) -> None:
        super().__init__()
        self.label_count = classes
        self.latent_shape = (config.latent_size + vocabulary_size * length,)
        self._sizes = [config.latent_size, vocabulary_size * length]
        self.vocabulary_size, self.length = vocabulary_size, length
        self.temperature = config.temperature
        self.first = nn.Linear(config.latent_size + classes, config.width * length)
        self.blocks = nn.Sequential(
            *(ResidualConvolutions(config.width) for _ in range(config.blocks))
        )
        self.logits = nn.Conv1d(config.width, vocabulary_size, 1)

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        vector, noise = torch.split(latents, self._sizes, dim=1)
        hidden = self.first(with_label(vector, condition, self.label_count))
        hidden = hidden.unflatten(1, (-1, self.length))  # (B, W, T)
        logits = self.logits(self.blocks(hidden)).float()  # (B, V, T)
        chances = logits + gumbel(noise).view_as(logits)
        soft = (chances / self.temperature).softmax(1)
        drawn = one_hot(chances.argmax(1), self.vocabulary_size).transpose(1, 2).to(soft.dtype)
        straight: Tensor = (
            drawn + soft - soft.detach()
        )  # the value of the draw, the gradient of the softmax
        return straight

    def represent(self, samples: Tensor) -> Tensor:
        """Map int64 tokens ``(B, T)`` to float32 one-hot vectors ``(B, vocabulary, T)``."""
        vectors: Tensor = one_hot(samples, self.vocabulary_size).transpose(1, 2).float()
        return vectors

    def restore(self, represented: Tensor) -> Tensor:
        """Map one-hot vectors ``(B, vocabulary, T)`` to int64 tokens ``(B, T)``."""
        return represented.argmax(1)


def gumbel(normal: Tensor) -> Tensor:
    """Map standard normal numbers to ones of the Gumbel distribution, by their quantiles."""
    uniform = torch.special.ndtr(normal.float()).clamp(1e-7, 1 - 1e-7)
    return -torch.log(-torch.log(uniform))


class TextCritic(Discriminator):
    """One-hot tokens ``(B, vocabulary, T)`` to scores ``(B,)``.

    With classes, the inner product with the label's vector is added (Miyato & Koyama 2018).
    """

    def __init__(
        self, config: TextGANConfig, vocabulary_size: int, length: int, classes: int = 0
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(vocabulary_size, config.width, 1),
            *(ResidualConvolutions(config.width) for _ in range(config.blocks)),
            nn.Flatten(),
        )
        self.score = nn.Linear(config.width * length, 1)
        self.embedding = nn.Embedding(classes, config.width * length) if classes else None

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        features = self.layers(samples)  # (B, V, T) -> (B, W * T)
        scores: Tensor = self.score(features).flatten()
        if self.embedding is not None:
            scores = scores + (self.embedding(condition) * features).sum(1)
        return scores


def build(context: RecipeContext) -> AdversarialTrainer:
    """Make the trainer for windows of tokens."""
    (length,) = context.sample_shape
    classes = context.classes_if(context.model.conditional)
    sizes = int(context.spec.units["vocabulary_size"]), length, classes
    generator, critic = TextGenerator(context.model, *sizes), TextCritic(context.model, *sizes)
    return AdversarialTrainer(generator, critic, context.trainer)

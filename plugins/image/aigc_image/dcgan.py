"""DCGAN: Radford et al. 2016, "Unsupervised Representation Learning with Deep Convolutional GANs".

At 32 pixels and width 64 the generator goes 100 -> 256 -> 128 -> 64 -> C channels over 1, 4, 8, 16
and 32 pixels, and the discriminator mirrors it. Each doubling of the size, up to 256, adds a layer.
"""

import math

from torch import Tensor, nn

from aigc_core import (
    AdversarialTrainer,
    ClassifyingDiscriminator,
    Discriminator,
    LatentGenerator,
    RecipeContext,
)
from aigc_core.errors import ConfigError
from aigc_core.networks import (
    doubling_convolutions,
    halved_widths,
    halving_convolutions,
    initialize_convolutions,
    with_label,
)
from aigc_image.dcgan_config import DCGANConfig


class DCGANGenerator(LatentGenerator):
    """Latents ``(B, latent_size)`` to images ``(B, C, S, S)`` in [-1, 1].

    If conditional, the one-hot label is appended to the latents (Mirza & Osindero 2014).
    """

    def __init__(self, config: DCGANConfig, channels: int, size: int, classes: int = 0) -> None:
        super().__init__()
        self.latent_shape = (config.latent_size,)
        self.label_count = classes
        widths = halved_widths(config.width, size)[::-1]
        self.layers = doubling_convolutions(config.latent_size + classes, widths, channels)

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        latents = with_label(latents, condition, self.label_count)  # (B, Z) -> (B, Z + K)
        images: Tensor = self.layers(latents[:, :, None, None])  # -> (B, C, S, S)
        return images


class DCGANDiscriminator(Discriminator):
    """Images ``(B, C, S, S)`` in [-1, 1] to logits ``(B,)``."""

    def __init__(self, config: DCGANConfig, channels: int, size: int) -> None:
        super().__init__()
        widths = halved_widths(config.width, size)
        layers = halving_convolutions(
            channels, widths, normalization=config.discriminator_normalization, bias=False
        )
        self.feature_shape = (widths[-1], 4, 4)
        layers.append(nn.Conv2d(widths[-1], 1, 4, 1, 0))  # 4 -> 1 pixel
        self.layers = nn.Sequential(*layers)

    def features(self, samples: Tensor) -> Tensor:
        """Map images ``(B, C, S, S)`` to the last layer's input, ``(B, W, 4, 4)``."""
        features: Tensor = self.layers[:-1](samples)
        return features

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        logits: Tensor = self.layers(samples)  # (B, C, S, S) -> (B, 1, 1, 1)
        return logits.flatten()  # -> (B,)


class ProjectionDiscriminator(DCGANDiscriminator):
    """Adds the inner product of features and the label's vector to the logit.

    Miyato & Koyama 2018, "cGANs with Projection Discriminator", equation 4.
    """

    def __init__(self, config: DCGANConfig, channels: int, size: int, classes: int) -> None:
        super().__init__(config, channels, size)
        self.embedding = nn.Embedding(classes, math.prod(self.feature_shape))

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        features = self.features(samples)  # (B, C, S, S) -> (B, W, 4, 4)
        logits: Tensor = self.layers[-1](features).flatten()
        projected: Tensor = (self.embedding(condition) * features.flatten(1)).sum(1)  # -> (B,)
        return logits + projected


class AuxiliaryDiscriminator(DCGANDiscriminator, ClassifyingDiscriminator):
    """Predicts the class as well as real or fake: AC-GAN."""

    def __init__(self, config: DCGANConfig, channels: int, size: int, classes: int) -> None:
        super().__init__(config, channels, size)
        self.classes = nn.Conv2d(self.feature_shape[0], classes, 4, 1, 0)

    def judge(self, samples: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        features = self.features(samples)  # (B, C, S, S) -> (B, W, 4, 4)
        classes: Tensor = self.classes(features)  # -> (B, K, 1, 1)
        return self.layers[-1](features).flatten(), classes.flatten(1)


def build(context: RecipeContext) -> AdversarialTrainer:
    """Make the trainer for square images of 32, 64, 128 or 256 pixels and any channels."""
    channels, height, width = context.sample_shape
    if height != width or height < 32 or height & (height - 1) or height > 256:
        raise ConfigError(
            f"image/dcgan makes square images of 32, 64, 128 or 256 pixels, not {height}x{width}. "
            "Set dataset.options.size."
        )
    classes = context.classes_if(context.model.conditional)
    generator = DCGANGenerator(context.model, channels, height, classes)
    kinds = {"projection": ProjectionDiscriminator, "auxiliary": AuxiliaryDiscriminator}
    kind = kinds[context.model.discriminator_labels]
    discriminator = (
        kind(context.model, channels, height, classes)
        if classes
        else DCGANDiscriminator(context.model, channels, height)
    )
    if context.model.initialization == "dcgan":
        initialize_convolutions(generator)
        initialize_convolutions(discriminator)
    return AdversarialTrainer(generator, discriminator, context.trainer)

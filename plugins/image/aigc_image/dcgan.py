"""DCGAN: Radford et al. 2016, "Unsupervised Representation Learning with Deep Convolutional GANs".

At 32 pixels and width 64 the generator goes 100 -> 256 -> 128 -> 64 -> C channels over 1, 4, 8, 16
and 32 pixels, and the discriminator mirrors it. Each doubling of the size, up to 256, adds a layer.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from aigc_core import (
    AdversarialTrainer,
    ClassifyingDiscriminator,
    Discriminator,
    LatentGenerator,
    RecipeContext,
)
from aigc_core.errors import ConfigError
from aigc_image.dcgan_config import DCGANConfig


def _widths(width: int, size: int) -> list[int]:
    """Channels at size/2, size/4, … 4 pixels: [64, 128, 256] for width 64 and 32 pixels."""
    return [width * 2**layer for layer in range(int(math.log2(size)) - 2)]


class DCGANGenerator(LatentGenerator):
    """Latents ``(B, latent_size)`` to images ``(B, C, S, S)`` in [-1, 1].

    If conditional, the one-hot label is appended to the latents (Mirza & Osindero 2014).
    """

    def __init__(self, config: DCGANConfig, channels: int, size: int, classes: int = 0) -> None:
        super().__init__()
        self.latent_shape = (config.latent_size,)
        self.label_count = classes
        widths = _widths(config.width, size)[::-1]
        layers: list[nn.Module] = []
        before = config.latent_size + classes
        for layer, after in enumerate(widths):
            stride, padding = (1, 0) if layer == 0 else (2, 1)  # 1 -> 4 pixels, then doubling
            layers += [
                nn.ConvTranspose2d(before, after, 4, stride, padding, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
            ]
            before = after
        layers += [nn.ConvTranspose2d(before, channels, 4, 2, 1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        if condition is not None:  # (B, Z) and (B,) -> (B, Z + K)
            label = one_hot(condition, self.label_count).to(latents.dtype)
            latents = torch.cat([latents, label], dim=1)
        images: Tensor = self.layers(latents[:, :, None, None])  # (B, Z) -> (B, C, S, S)
        return images


class DCGANDiscriminator(Discriminator):
    """Images ``(B, C, S, S)`` in [-1, 1] to logits ``(B,)``."""

    def __init__(self, config: DCGANConfig, channels: int, size: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = channels
        for layer, after in enumerate(_widths(config.width, size)):
            first = layer == 0  # as in the paper: no normalisation next to the image
            kind = "none" if first else config.discriminator_normalization
            layers.append(nn.Conv2d(before, after, 4, 2, 1, bias=kind == "none"))
            if kind == "batch":
                layers.append(nn.BatchNorm2d(after))
            elif kind == "layer":
                layers.append(nn.GroupNorm(1, after))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            before = after
        self.feature_shape = (before, 4, 4)
        layers.append(nn.Conv2d(before, 1, 4, 1, 0))  # 4 -> 1 pixel
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


def _initialize(network: nn.Module) -> None:
    """Draw weights as in the paper, section 4: N(0, 0.02), scales around 1."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Embedding):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)


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
        _initialize(generator)
        _initialize(discriminator)
    return AdversarialTrainer(generator, discriminator, context.trainer)

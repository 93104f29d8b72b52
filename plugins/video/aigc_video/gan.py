"""A GAN of 3-D convolutions: Vondrick et al. 2016, "Generating Videos with Scene Dynamics".

Their network of one stream: DCGAN's layers, in which time is doubled and halved like the sides.
"""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from aigc_core import AdversarialTrainer, Discriminator, LatentGenerator, RecipeContext
from aigc_core.errors import ConfigError
from aigc_core.networks import (
    doubling_convolutions,
    halved_widths,
    halving_convolutions,
    initialize_convolutions,
    with_label,
)
from aigc_video.axes import ChannelsFirst
from aigc_video.gan_config import VideoGANConfig

SMALLEST = 4
"""Sides, in pixels, from which frames are doubled."""


class VideoGenerator(LatentGenerator):
    """Latents ``(B, latent_size)`` to clips ``(B, C, T, S, S)`` in [-1, 1].

    If conditional, the one-hot label is appended to the latents (Mirza & Osindero 2014).
    """

    def __init__(
        self,
        config: VideoGANConfig,
        form: ChannelsFirst,
        smallest: Sequence[int],
        classes: int = 0,
    ) -> None:
        """Make the layers; ``smallest`` are the three sides from which they double."""
        super().__init__()
        self.form = form
        self.latent_shape = (config.latent_size,)
        self.label_count = classes
        widths = halved_widths(config.width, form.shape[-1])[::-1]
        self.layers = doubling_convolutions(
            config.latent_size + classes, widths, form.shape[0], smallest
        )

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        latents = with_label(latents, condition, self.label_count)  # (B, Z) -> (B, Z + K)
        clips: Tensor = self.layers(latents[:, :, None, None, None])  # -> (B, C, T, S, S)
        return clips

    def represent(self, samples: Tensor) -> Tensor:
        """Swap the axes: ``(B, T, C, S, S)`` to ``(B, C, T, S, S)``."""
        swapped: Tensor = self.form(samples)
        return swapped

    def restore(self, represented: Tensor) -> Tensor:
        """Swap them back."""
        return self.form.restore(represented)


class VideoDiscriminator(Discriminator):
    """Clips ``(B, C, T, S, S)`` in [-1, 1] to logits ``(B,)``.

    With classes, the inner product of features and the label's vector is added (Miyato & Koyama
    2018, "cGANs with Projection Discriminator", equation 4).
    """

    def __init__(
        self,
        config: VideoGANConfig,
        form: ChannelsFirst,
        smallest: Sequence[int],
        classes: int = 0,
    ) -> None:
        """Make the layers; ``smallest`` are the three sides down to which they halve."""
        super().__init__()
        widths = halved_widths(config.width, form.shape[-1])
        normalization = config.discriminator_normalization
        layers = halving_convolutions(
            form.shape[0], widths, normalization=normalization, bias=False, dims=3
        )
        self.features = nn.Sequential(*layers, nn.Flatten())
        size = widths[-1] * math.prod(smallest)
        self.logit = nn.Linear(size, 1)
        self.embedding = nn.Embedding(classes, size) if classes else None

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        features = self.features(samples)  # (B, C, T, S, S) -> (B, F)
        logits: Tensor = self.logit(features).flatten()
        if self.embedding is not None:
            logits = logits + (self.embedding(condition) * features).sum(1)
        return logits


def build(context: RecipeContext) -> AdversarialTrainer:
    """Make the trainer for square clips of 16 to 256 pixels and any channels."""
    frames, _, height, width = context.sample_shape
    if height != width or height & (height - 1) or not 16 <= height <= 256:
        raise ConfigError(
            "video/gan makes square clips of 16, 32, 64, 128 or 256 pixels, not "
            f"{height}x{width}. Set dataset.options.size."
        )
    doubled = height // SMALLEST
    if frames % doubled:
        raise ConfigError(
            f"video/gan makes clips of {height} pixels whose frames are divisible by {doubled}, "
            f"and these have {frames}. Set dataset.options.frames."
        )
    config: VideoGANConfig = context.model
    classes = context.classes_if(config.condition == "class", "model.condition=class")
    form, smallest = ChannelsFirst(context.sample_shape), (frames // doubled, SMALLEST, SMALLEST)
    generator = VideoGenerator(config, form, smallest, classes)
    discriminator = VideoDiscriminator(config, form, smallest, classes)
    initialize_convolutions(generator)
    initialize_convolutions(discriminator)
    return AdversarialTrainer(generator, discriminator, context.trainer)

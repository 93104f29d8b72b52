"""A convolutional variational autoencoder: Kingma & Welling 2014, on images.

At 32 pixels and width 32 the encoder goes C -> 32 -> 64 -> 128 channels over 16, 8 and 4 pixels and
through one hidden layer to the latents; the decoder mirrors it. Each doubling of the size, up to
256, adds a layer.
"""

import math

from torch import Tensor, nn

from aigc_core import Decoder, Encoder, RecipeContext, VariationalTrainer
from aigc_core.errors import ConfigError
from aigc_core.networks import halved_widths, halving_convolutions, with_label
from aigc_image.vae_config import VAEConfig

_SMALLEST = 4  # side in pixels at the inner end of the convolutions


class VAEEncoder(Encoder):
    """Images ``(B, C, S, S)`` in [-1, 1] to mean and log-variance, each ``(B, latent_size)``."""

    def __init__(self, config: VAEConfig, channels: int, size: int, classes: int = 0) -> None:
        super().__init__()
        self.label_count = classes
        widths = halved_widths(config.width, size)
        layers = halving_convolutions(channels, widths, activation=nn.SiLU)
        self.convolutions = nn.Sequential(*layers, nn.Flatten())  # -> (B, 16 W)
        self.layers = nn.Sequential(
            nn.Linear(widths[-1] * _SMALLEST**2 + classes, config.hidden_size),
            nn.SiLU(),
            nn.Linear(config.hidden_size, 2 * config.latent_size),
        )

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        features = with_label(self.convolutions(samples), condition, self.label_count)
        mean, log_variance = self.layers(features).chunk(2, dim=1)  # (B, 2 Z) -> 2 x (B, Z)
        return mean, log_variance


class VAEDecoder(Decoder):
    """Latents ``(B, latent_size)`` to images ``(B, C, S, S)`` in (-1, 1)."""

    def __init__(self, config: VAEConfig, channels: int, size: int, classes: int = 0) -> None:
        super().__init__()
        self.latent_shape = (config.latent_size,)
        self.label_count = classes
        widths = halved_widths(config.width, size)[::-1]
        layers: list[nn.Module] = [
            nn.Linear(config.latent_size + classes, config.hidden_size),
            nn.SiLU(),
            nn.Linear(config.hidden_size, widths[0] * _SMALLEST**2),
            nn.SiLU(),
            nn.Unflatten(1, (widths[0], _SMALLEST, _SMALLEST)),  # (B, 16 W) -> (B, W, 4, 4)
        ]
        for before, after in zip(widths, [*widths[1:], channels], strict=True):
            layers += [nn.ConvTranspose2d(before, after, 4, 2, 1), nn.SiLU()]  # doubles the size
        self.layers = nn.Sequential(*layers[:-1])  # no activation at the end

    def raw(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        images: Tensor = self.layers(with_label(latents, condition, self.label_count))
        return images


def _initialize(network: nn.Module) -> None:
    """Draw weights that keep the scale of activations from layer to layer (He et al. 2015)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.ConvTranspose2d):
            # each output pixel gets contributions from kernel/stride inputs in each direction
            inputs = module.in_channels * (module.kernel_size[0] / module.stride[0]) ** 2
            nn.init.normal_(module.weight, 0.0, math.sqrt(2 / inputs))
        bias = getattr(module, "bias", None)
        if bias is not None:
            nn.init.zeros_(bias)


def build(context: RecipeContext) -> VariationalTrainer:
    """Make the trainer for square images of 32, 64, 128 or 256 pixels and any channels."""
    channels, height, width = context.sample_shape
    if height != width or height < 32 or height & (height - 1) or height > 256:
        raise ConfigError(
            f"image/vae makes square images of 32, 64, 128 or 256 pixels, not {height}x{width}. "
            "Set dataset.options.size."
        )
    classes = context.classes_if(context.model.conditional)
    encoder = VAEEncoder(context.model, channels, height, classes)
    decoder = VAEDecoder(context.model, channels, height, classes)
    _initialize(encoder)
    _initialize(decoder)
    return VariationalTrainer(encoder, decoder, context.trainer)

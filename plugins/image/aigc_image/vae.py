"""A convolutional variational autoencoder: Kingma & Welling 2014, on images.

At 32 pixels and width 32 the encoder goes C -> 32 -> 64 -> 128 channels over 16, 8 and 4 pixels and
through one hidden layer to the latents; the decoder mirrors it. Each doubling of the size, up to
256, adds a layer.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from aigc_core import Decoder, Encoder, RecipeContext, VariationalTrainer
from aigc_core.errors import ConfigError
from aigc_image.vae_config import VAEConfig

_SMALLEST = 4  # side in pixels at the inner end of the convolutions


def _widths(width: int, size: int) -> list[int]:
    """Channels at size/2, size/4, … 4 pixels: [32, 64, 128] for width 32 and 32 pixels."""
    return [width * 2**layer for layer in range(int(math.log2(size)) - 2)]


def _with_label(features: Tensor, labels: Tensor | None, classes: int) -> Tensor:
    """Append the one-hot label, if any, to features: (B, F) and (B,) -> (B, F + K)."""
    if labels is None:
        return features
    return torch.cat([features, one_hot(labels, classes).to(features.dtype)], dim=1)


class VAEEncoder(Encoder):
    """Images ``(B, C, S, S)`` in [-1, 1] to mean and log-variance, each ``(B, latent_size)``."""

    def __init__(self, config: VAEConfig, channels: int, size: int, classes: int = 0) -> None:
        super().__init__()
        self.label_count = classes
        layers: list[nn.Module] = []
        before = channels
        for after in _widths(config.width, size):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.SiLU()]  # halves the size
            before = after
        self.convolutions = nn.Sequential(*layers, nn.Flatten())  # -> (B, 16 W)
        self.layers = nn.Sequential(
            nn.Linear(before * _SMALLEST**2 + classes, config.hidden_size),
            nn.SiLU(),
            nn.Linear(config.hidden_size, 2 * config.latent_size),
        )

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        features = _with_label(self.convolutions(samples), condition, self.label_count)
        mean, log_variance = self.layers(features).chunk(2, dim=1)  # (B, 2 Z) -> 2 x (B, Z)
        return mean, log_variance


class VAEDecoder(Decoder):
    """Latents ``(B, latent_size)`` to images ``(B, C, S, S)`` in (-1, 1)."""

    def __init__(self, config: VAEConfig, channels: int, size: int, classes: int = 0) -> None:
        super().__init__()
        self.latent_shape = (config.latent_size,)
        self.label_count = classes
        widths = _widths(config.width, size)[::-1]
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
        images: Tensor = self.layers(_with_label(latents, condition, self.label_count))
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

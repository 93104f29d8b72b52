"""SpecGAN: a GAN on log-mel spectrograms, turned into sound by Griffin-Lim.

Based on Donahue et al. 2019, "Adversarial Audio Synthesis", section 3.2, but with mel bands instead
of linear frequencies, half the size, levels on one decibel scale instead of normalised by
frequency, kernels of 4 and batch normalisation in the generator (as in DCGAN), and R1 instead of
WGAN-GP. It is the cheap way to make sound: its networks are those of small images.
"""

from torch import Tensor, nn

from aigc_audio.mono import check_mono
from aigc_audio.specgan_config import SpecGANConfig
from aigc_audio.spectrogram import LogMel
from aigc_core import AdversarialTrainer, Discriminator, LatentGenerator, RecipeContext
from aigc_core.errors import ConfigError
from aigc_core.networks import (
    doubling_convolutions,
    halved_widths,
    halving_convolutions,
    with_label,
)


class SpecGANGenerator(LatentGenerator):
    """Latents ``(B, latent_size)`` to log-mel spectrograms ``(B, 1, M, M)`` in [-1, 1]."""

    sample_chunk = 8  # Griffin-Lim takes longer than the network

    def __init__(self, config: SpecGANConfig, mel: LogMel, classes: int = 0) -> None:
        super().__init__()
        self.latent_shape = (config.latent_size,)
        self.label_count = classes
        self.mel = mel
        widths = halved_widths(config.width, config.size)[::-1]
        self.layers = doubling_convolutions(config.latent_size + classes, widths, 1)

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        latents = with_label(latents, condition, self.label_count)  # (B, Z) -> (B, Z + K)
        spectrograms: Tensor = self.layers(latents[:, :, None, None])  # -> (B, 1, M, M)
        return spectrograms

    def represent(self, samples: Tensor) -> Tensor:
        """Map waveforms ``(B, 1, L)`` to log-mel spectrograms ``(B, 1, M, M)``."""
        spectrograms: Tensor = self.mel(samples)
        return spectrograms

    def restore(self, represented: Tensor) -> Tensor:
        """Map log-mel spectrograms ``(B, 1, M, M)`` to waveforms ``(B, 1, L)``."""
        return self.mel.restore(represented)


class SpecGANDiscriminator(Discriminator):
    """Log-mel spectrograms ``(B, 1, M, M)`` to logits ``(B,)``.

    With classes, the inner product with the label's vector is added (Miyato & Koyama 2018).
    """

    def __init__(self, config: SpecGANConfig, classes: int = 0) -> None:
        super().__init__()
        widths = halved_widths(config.width, config.size)
        self.layers = nn.Sequential(*halving_convolutions(1, widths), nn.Flatten())
        self.logit = nn.Linear(widths[-1] * 16, 1)
        self.embedding = nn.Embedding(classes, widths[-1] * 16) if classes else None

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        features = self.layers(samples)  # (B, 1, M, M) -> (B, 16 W)
        logits: Tensor = self.logit(features).flatten()
        if self.embedding is not None:
            logits = logits + (self.embedding(condition) * features).sum(1)
        return logits


def build(context: RecipeContext) -> AdversarialTrainer:
    """Make the trainer for mono clips of k * ``model.size`` samples, k at least ``model.size``."""
    length = check_mono("audio/specgan", context.sample_shape)
    size = context.model.size
    if length % size or length < size**2:  # fewer frequencies than bands otherwise
        raise ConfigError(
            f"audio/specgan with model.size={size} makes clips of a multiple of {size} and at "
            f"least {size**2:,} samples, not {length}. Set dataset.options.samples."
        )
    mel = LogMel(int(context.spec.units["sample_rate_hz"]), length, size, size)
    classes = context.classes_if(context.model.conditional)
    generator = SpecGANGenerator(context.model, mel, classes)
    discriminator = SpecGANDiscriminator(context.model, classes)
    for module in (*generator.modules(), *discriminator.modules()):
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, 0.0, 0.02)
    return AdversarialTrainer(generator, discriminator, context.trainer)

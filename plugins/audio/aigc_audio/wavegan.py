"""WaveGAN: Donahue et al. 2019, "Adversarial Audio Synthesis", section 3.1 and appendix D.

DCGAN in one dimension: kernels of 25 samples and strides of 4 instead of 5x5 and 2x2 pixels.
At width 64 the generator goes 1024 -> 512 -> 256 -> 128 -> 64 -> 1 channels over 16, 64, 256, 1024,
4096 and 16,384 samples. Shorter clips start at fewer channels (4,096 samples), or with a stride of
2 (8,192).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from aigc_audio.mono import check_mono
from aigc_audio.wavegan_config import WaveGANConfig
from aigc_core import AdversarialTrainer, Discriminator, LatentGenerator, RecipeContext
from aigc_core.errors import ConfigError
from aigc_core.networks import with_label

LENGTHS = (4096, 8192, 16384)
KERNEL = 25
START = 16
"""Number of samples after the generator's first layer."""


def _strides(length: int) -> list[int]:
    """Return the layers' strides, starting next to the waveform."""
    factor = length // START  # 256, 512 or 1024
    fours = int(math.log2(factor)) // 2
    return [4] * fours + [2] * (factor // 4**fours // 2)


class WaveGANGenerator(LatentGenerator):
    """Latents ``(B, latent_size)`` to waveforms ``(B, 1, L)`` in [-1, 1]."""

    def __init__(self, config: WaveGANConfig, length: int, classes: int = 0) -> None:
        super().__init__()
        self.latent_shape = (config.latent_size,)
        self.label_count = classes
        strides = _strides(length)[::-1]
        widths = [config.width * 2**layer for layer in range(len(strides))][::-1]
        self.first = nn.Linear(config.latent_size + classes, widths[0] * START)
        layers: list[nn.Module] = []
        for layer, stride in enumerate(strides):
            after = widths[layer + 1] if layer + 1 < len(strides) else 1
            if config.generator_normalization == "batch":
                layers.append(nn.BatchNorm1d(widths[layer]))
            layers += [
                nn.ReLU(inplace=True),
                nn.ConvTranspose1d(
                    widths[layer], after, KERNEL, stride, (KERNEL - stride + 1) // 2,
                    output_padding=(KERNEL - stride) % 2,
                ),
            ]  # fmt: skip
        self.layers = nn.Sequential(*layers, nn.Tanh())

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        latents = with_label(latents, condition, self.label_count)  # (B, Z) -> (B, Z + K)
        waveforms: Tensor = self.layers(self.first(latents).unflatten(1, (-1, START)))
        return waveforms


class PhaseShuffle(nn.Module):
    """Shifts ``(B, C, L)`` by up to ``most`` samples, mirrored at the ends (section 3.3).

    Without it, a critic can recognise generated sound by the phase of the artefacts of transposed
    convolutions. Each training pass draws one shift for the whole batch, where the paper draws
    one for each sample.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.most:
            return x
        # By torch's global generator, which depends only on seed and step.
        shift = torch.randint(-self.most, self.most + 1, (), device=x.device)
        padded = pad(x, (self.most, self.most), "reflect")
        if x.device.type == "cpu":  # faster, and there is no device that the host would wait for
            return padded.narrow(2, self.most - int(shift), x.shape[2])
        places = torch.arange(x.shape[2], device=x.device) + self.most - shift
        return padded.index_select(2, places)


class WaveGANDiscriminator(Discriminator):
    """Waveforms ``(B, 1, L)`` to logits ``(B,)``.

    With classes, by the inner product with the label's vector (Miyato & Koyama 2018).
    """

    def __init__(self, config: WaveGANConfig, length: int, classes: int = 0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        strides = _strides(length)
        for layer, stride in enumerate(strides):
            after = config.width * 2**layer
            padding = (KERNEL - stride + 1) // 2
            layers += [nn.Conv1d(before, after, KERNEL, stride, padding), nn.LeakyReLU(0.2)]
            if layer + 1 < len(strides):
                layers.append(PhaseShuffle(config.phase_shuffle))
            before = after
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.logit = nn.Linear(before * START, 1)
        self.embedding = nn.Embedding(classes, before * START) if classes else None
        if self.embedding is not None:  # thousands of features: a scale of 1 would drown the logit
            nn.init.normal_(self.embedding.weight, 0.0, 0.02)

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        features = self.layers(samples)  # (B, 1, L) -> (B, 16 W)
        logits: Tensor = self.logit(features).flatten()
        if self.embedding is not None:
            logits = logits + (self.embedding(condition) * features).sum(1)
        return logits


def build(context: RecipeContext) -> AdversarialTrainer:
    """Make the trainer for mono clips of 4,096, 8,192 or 16,384 samples."""
    length = check_mono("audio/wavegan", context.sample_shape)
    if length not in LENGTHS:
        raise ConfigError(
            f"audio/wavegan makes clips of 4096, 8192 or 16384 samples, not {length}. "
            "Set dataset.options.samples."
        )
    classes = context.classes_if(context.model.conditional)
    return AdversarialTrainer(
        WaveGANGenerator(context.model, length, classes),
        WaveGANDiscriminator(context.model, length, classes),
        context.trainer,
    )

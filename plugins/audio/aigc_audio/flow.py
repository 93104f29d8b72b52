"""Flow matching on log-mel spectrograms, heard by Griffin-Lim (see ``aigc_core.trainers.flow``)."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor
from torch.nn import Embedding
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from aigc_audio.flow_config import FlowNetworkConfig
from aigc_audio.mono import check_mono
from aigc_audio.spectrogram import LogMel
from aigc_core import FlowGenerator, FlowTrainer, RecipeContext
from aigc_core.errors import ConfigError
from aigc_core.networks import TimeEmbedding, UNet


class AudioFlow(FlowGenerator):
    """Spectrograms ``(B, 1, M, M)`` mixed with noise to their velocity, of the same shape."""

    sample_chunk: ClassVar[int] = 16

    def __init__(self, config: FlowNetworkConfig, mel: LogMel, classes: int = 0) -> None:
        super().__init__()
        self.noise_shape = (1, config.size, config.size)
        self.label_count = classes
        self.patch = config.patch
        self.mel = mel
        vector = 4 * config.width
        self.time = TimeEmbedding(vector)
        if classes:
            self.label = Embedding(classes + 1, vector)  # the last stands for no class
        levels = len(config.multipliers)
        self.unet = UNet(
            2,
            config.patch**2,
            config.patch**2,
            widths=[config.width * multiplier for multiplier in config.multipliers],
            blocks=config.blocks,
            attention=[level == levels - 1 for level in range(levels)],
            embedding_size=vector,
        )

    def represent(self, samples: Tensor) -> Tensor:
        """Map waveforms ``(B, 1, L)`` to log-mel spectrograms ``(B, 1, M, M)``."""
        spectrograms: Tensor = self.mel(samples)
        return spectrograms

    def restore(self, represented: Tensor) -> Tensor:
        """Map log-mel spectrograms ``(B, 1, M, M)`` to waveforms ``(B, 1, L)``."""
        return self.mel.restore(represented)

    def forward(self, mixed: Tensor, times: Tensor, conditions: Mapping[str, Tensor]) -> Tensor:
        vector = self.time(times)  # (B, E)
        if self.label_count:
            vector = vector + self.label(conditions["label"])
        patches = pixel_unshuffle(mixed, self.patch)  # (B, 1, M, M) -> (B, P P, M/P, M/P)
        return pixel_shuffle(self.unet(patches, vector), self.patch)


def build(context: RecipeContext) -> FlowTrainer:
    """Make the trainer for mono clips of k * ``model.size`` samples, k at least ``model.size``."""
    config: FlowNetworkConfig = context.model
    length, size = check_mono("audio/flow", context.sample_shape), config.size
    if length % size or length < size**2:  # fewer frequencies than bands otherwise
        raise ConfigError(
            f"audio/flow with model.size={size} makes clips of a multiple of {size} and at least "
            f"{size**2:,} samples, not {length}. Set dataset.options.samples."
        )
    whole = config.patch * 2 ** (len(config.multipliers) - 1)
    if size % whole:
        raise ConfigError(
            f"audio/flow with model.patch={config.patch} and {len(config.multipliers)} "
            f"model.multipliers needs a model.size that is divisible by {whole}, not {size}."
        )
    mel = LogMel(int(context.spec.units["sample_rate_hz"]), length, size, size)
    classes = context.classes_if(config.condition == "class", "model.condition=class")
    return FlowTrainer(AudioFlow(config, mel, classes), context.trainer)

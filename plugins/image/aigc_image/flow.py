"""Flow matching on images: a U-Net carries noise to pictures (see ``aigc_core.trainers.flow``)."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import Embedding, Linear
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from aigc_core import Condition, FlowGenerator, FlowTrainer, Modality, RecipeContext
from aigc_core.errors import ConfigError
from aigc_core.networks import SequenceEncoder, TimeEmbedding, UNet
from aigc_image.flow_config import FlowNetworkConfig


class ImageFlow(FlowGenerator):
    """Images ``(B, C, S, S)`` mixed with noise to their velocity, of the same shape."""

    def __init__(
        self,
        config: FlowNetworkConfig,
        channels: int,
        size: int,
        classes: int = 0,
        captions: Modality | None = None,
    ) -> None:
        super().__init__()
        self.noise_shape = (channels, size, size)
        self.label_count = classes
        self.patch = config.patch
        vector = 4 * config.width
        self.time = TimeEmbedding(vector)
        if classes:
            self.label = Embedding(classes + 1, vector)  # the last stands for no class
        self.words = None
        if captions is not None:
            self.caption_shape = captions.sample_shape
            assert captions.vocabulary_size is not None  # build sees to it
            self.words = SequenceEncoder(
                captions.vocabulary_size,
                captions.sample_shape[0],
                vector,
                layers=config.text_layers,
            )
            self.all_words = Linear(vector, vector)
        levels = len(config.multipliers)
        values = channels * config.patch**2
        self.unet = UNet(
            2,
            values,
            values,
            widths=[config.width * multiplier for multiplier in config.multipliers],
            blocks=config.blocks,
            attention=[level >= levels - config.attention_levels for level in range(levels)],
            embedding_size=vector,
            context_size=vector if captions is not None else None,
        )

    @property
    def conditions(self) -> Mapping[str, Condition]:
        """A class or a text, as the network was made for it."""
        return {"text": Condition("text")} if self.words is not None else super().conditions

    def nothing(self, name: str, count: int, device: torch.device) -> Tensor:
        """Return no class, or an empty text: all zeros."""
        if name == "text":
            return torch.zeros(count, *self.caption_shape, dtype=torch.int64, device=device)
        return super().nothing(name, count, device)

    def restore(self, represented: Tensor) -> Tensor:
        """Return images in [-1, 1]; a solver may end a little beyond."""
        return represented.clamp(-1, 1)

    def forward(self, mixed: Tensor, times: Tensor, conditions: Mapping[str, Tensor]) -> Tensor:
        vector = self.time(times)  # (B, E)
        if self.label_count:
            vector = vector + self.label(conditions["label"])
        words: Tensor | None = None
        if self.words is not None:
            words = self.words(conditions["text"])  # (B, T, E)
            vector = vector + self.all_words(words.mean(1))
        patches = pixel_unshuffle(mixed, self.patch)  # (B, C, S, S) -> (B, C P P, S/P, S/P)
        return pixel_shuffle(self.unet(patches, vector, words), self.patch)


def build(context: RecipeContext) -> FlowTrainer:
    """Make the trainer for images of any channels and size that the levels can halve."""
    config: FlowNetworkConfig = context.model
    channels, height, width = context.sample_shape
    whole = config.patch * 2 ** (len(config.multipliers) - 1)
    if height != width or height % whole:
        raise ConfigError(
            f"image/flow with model.patch={config.patch} and {len(config.multipliers)} "
            f"model.multipliers makes square images whose side is divisible by {whole}, and these "
            f"have {height}x{width} pixels. Set dataset.options.size, or fewer multipliers."
        )
    classes = context.classes_if(config.condition == "class", "model.condition=class")
    captions = None
    if config.condition == "text":
        captions = context.column("text", "image/flow with model.condition=text")
        if captions.vocabulary_size is None:
            raise ConfigError("The column 'text' holds no tokens, which image/flow could read.")
    network = ImageFlow(config, channels, height, classes, captions)
    return FlowTrainer(network, context.trainer)

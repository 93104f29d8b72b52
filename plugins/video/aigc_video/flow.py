"""Flow matching on clips: a 3-D U-Net carries noise to videos (see ``aigc_core.trainers.flow``).

With attention over space and time as in Ho et al. 2022, "Video Diffusion Models", there factorised.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import Embedding

from aigc_core import Condition, ConfigModel, FlowGenerator, FlowTrainer, RecipeContext
from aigc_core.errors import ConfigError
from aigc_core.networks import TimeEmbedding, UNet, folded, unfolded
from aigc_video.axes import ChannelsFirst
from aigc_video.flow_config import FlowNetworkConfig, VideoFlowConfig

FIRST = "first_frame"
"""Name of the condition, and of its column."""
NO_FRAME = -2.0
"""The value of all pixels of a first frame that is not given; those of one are in [-1, 1]."""


class VideoFlow(FlowGenerator):
    """Clips ``(B, C, T, H, W)`` mixed with noise to their velocity, of the same shape."""

    sample_chunk: ClassVar[int] = 16

    def __init__(
        self,
        config: FlowNetworkConfig,
        form: ChannelsFirst,
        classes: int = 0,
        frame_shape: tuple[int, ...] | None = None,
    ) -> None:
        """Make the layers.

        Args:
            config: their settings.
            form: swaps the axes of clips.
            classes: how many; 0 for a network that knows none.
            frame_shape: of a first frame in the model's form of images, which may have a border
                around ``(C, H, W)``; None for a network that is given none.
        """
        super().__init__()
        self.form = form
        self.noise_shape = form.shape
        self.label_count = classes
        self.frame_shape = frame_shape
        self.patch = (config.patch_frames, config.patch, config.patch)
        vector = 4 * config.width
        self.time = TimeEmbedding(vector)
        if classes:
            self.label = Embedding(classes + 1, vector)  # the last stands for no class
        levels = len(config.multipliers)
        pixels = form.shape[0] * config.patch**2
        values = pixels * config.patch_frames
        self.unet = UNet(
            3,
            values + (pixels if frame_shape else 0),
            values,
            widths=[config.width * multiplier for multiplier in config.multipliers],
            blocks=config.blocks,
            attention=[level >= levels - config.attention_levels for level in range(levels)],
            embedding_size=vector,
        )

    @property
    def conditions(self) -> Mapping[str, Condition]:
        """A class and a first frame, as the network was made for them."""
        return {**super().conditions, **({FIRST: Condition(FIRST)} if self.frame_shape else {})}

    def nothing(self, name: str, count: int, device: torch.device) -> Tensor:
        """Return no class, or a frame that is none."""
        if name == FIRST and self.frame_shape is not None:
            return torch.full((count, *self.frame_shape), NO_FRAME, device=device)
        return super().nothing(name, count, device)

    def represent(self, samples: Tensor) -> Tensor:
        """Swap the axes: ``(B, T, C, H, W)`` to ``(B, C, T, H, W)``."""
        swapped: Tensor = self.form(samples)
        return swapped

    def restore(self, represented: Tensor) -> Tensor:
        """Swap them back, and clamp to [-1, 1]."""
        return self.form.restore(represented)

    def forward(self, mixed: Tensor, times: Tensor, conditions: Mapping[str, Tensor]) -> Tensor:
        vector = self.time(times)  # (B, E)
        if self.label_count:
            vector = vector + self.label(conditions["label"])
        patches = folded(mixed, self.patch)  # (B, C, T, H, W) -> (B, V, t, h, w)
        if self.frame_shape is not None:
            frame = folded(self._inside(conditions[FIRST]), self.patch[1:])  # -> (B, P, h, w)
            everywhen = frame[:, :, None].expand(-1, -1, patches.shape[2], -1, -1)
            patches = torch.cat([patches, everywhen.to(patches.dtype)], dim=1)
        return unfolded(self.unet(patches, vector), self.patch)

    def sample(
        self,
        count: int,
        *,
        rng: torch.Generator,
        conditions: Mapping[str, Tensor] | None = None,
        controls: ConfigModel | None = None,
    ) -> Tensor:
        """Follow the flow from noise; a first frame that is given is the clip's, unchanged."""
        samples = super().sample(count, rng=rng, conditions=conditions, controls=controls)
        if FIRST in (conditions or {}):
            frame = self._inside((conditions or {})[FIRST])
            samples = torch.cat([frame[:, None].to(samples.dtype), samples[:, 1:]], dim=1)
        return samples

    def _inside(self, images: Tensor) -> Tensor:
        """Return images ``(B, C, S, S)`` without their border, if any: ``(B, C, H, W)``."""
        height, width = self.form.shape[2:]
        top, left = (images.shape[-2] - height) // 2, (images.shape[-1] - width) // 2
        return images[..., top : top + height, left : left + width]


class VideoFlowTrainer(FlowTrainer):
    """Hides first frames more often than classes."""

    def __init__(self, generator: VideoFlow, config: VideoFlowConfig) -> None:
        super().__init__(generator, config)
        self._first_frame_dropout = config.first_frame_dropout

    def dropout(self, condition: str) -> float:
        return self._first_frame_dropout if condition == FIRST else super().dropout(condition)


def build(context: RecipeContext) -> VideoFlowTrainer:
    """Make the trainer for clips of any channels whose sides the levels can halve."""
    config: FlowNetworkConfig = context.model
    frames, channels, height, width = context.sample_shape
    halvings = 2 ** (len(config.multipliers) - 1)
    if frames % (config.patch_frames * halvings):
        raise ConfigError(
            f"video/flow with model.patch_frames={config.patch_frames} and "
            f"{len(config.multipliers)} model.multipliers makes clips whose frames are divisible "
            f"by {config.patch_frames * halvings}, and these have {frames}. Set "
            "dataset.options.frames, or fewer multipliers."
        )
    if height % (config.patch * halvings) or width % (config.patch * halvings):
        raise ConfigError(
            f"video/flow with model.patch={config.patch} and {len(config.multipliers)} "
            f"model.multipliers makes frames whose sides are divisible by "
            f"{config.patch * halvings}, and these have {height}x{width} pixels. Set "
            "dataset.options.size, or fewer multipliers."
        )
    classes = context.classes_if(config.condition == "class", "model.condition=class")
    frame_shape = None
    if config.first_frame:
        images = context.column(FIRST, "video/flow with model.first_frame=true")
        frame_shape = images.sample_shape
        if len(frame_shape) != 3 or frame_shape[0] != channels:
            raise ConfigError(
                f"The column '{FIRST}' holds samples of the shape {frame_shape}, which are no "
                f"frames of clips with {channels} channels."
            )
    network = VideoFlow(config, ChannelsFirst(context.sample_shape), classes, frame_shape)
    return VideoFlowTrainer(network, context.trainer)

"""Flow matching on sets of points (see ``aigc_core.trainers.flow``)."""

from collections.abc import Mapping
from typing import ClassVar, cast

from torch import Tensor
from torch.nn import Embedding

from aigc_core import ConfigModel, FlowGenerator, FlowTrainer, RecipeContext
from aigc_core.errors import ConfigError
from aigc_core.networks import SetNetwork, TimeEmbedding
from aigc_pointclouds.flow_config import CloudControls, FlowNetworkConfig


class CloudFlow(FlowGenerator):
    """Clouds ``(B, N, 3)`` mixed with noise to their velocity, of the same shape; any N.

    Points that change places do so in the result, and nothing else changes: the noise of each point
    becomes that point.
    """

    sample_chunk: ClassVar[int] = 16
    controls: ClassVar[type[ConfigModel]] = CloudControls

    def __init__(self, config: FlowNetworkConfig, points: int, classes: int = 0) -> None:
        super().__init__()
        self.noise_shape = (points, 3)
        self.label_count = classes
        vector = 2 * config.width
        self.time = TimeEmbedding(vector)
        if classes:
            self.label = Embedding(classes + 1, vector)  # the last stands for no class
        self.network = SetNetwork(
            3,
            3,
            width=config.width,
            layers=config.layers,
            tokens=config.tokens,
            embedding_size=vector,
        )

    def drawn_shape(self, controls: ConfigModel) -> tuple[int, ...]:
        """Return (points, 3), as many points as are asked for."""
        points = cast(CloudControls, controls).points
        return self.noise_shape if points is None else (points, 3)

    def restore(self, represented: Tensor) -> Tensor:
        """Return clouds in [-1, 1]; a solver may end a little beyond."""
        return represented.clamp(-1, 1)

    def forward(self, mixed: Tensor, times: Tensor, conditions: Mapping[str, Tensor]) -> Tensor:
        vector = self.time(times)  # (B, E)
        if self.label_count:
            vector = vector + self.label(conditions["label"])
        return cast(Tensor, self.network(mixed, vector))


def build(context: RecipeContext) -> FlowTrainer:
    """Make the trainer for clouds of any number of points."""
    config: FlowNetworkConfig = context.model
    if config.width % 4:
        raise ConfigError(f"model.width={config.width} is not divisible by 4.")
    classes = context.classes_if(config.condition == "class", "model.condition=class")
    return FlowTrainer(CloudFlow(config, context.sample_shape[0], classes), context.trainer)

"""Flow matching on point clouds, by class: a transformer that does not care for their order."""

from collections.abc import Mapping

from torch import Tensor, nn

from aigc_core import FlowGenerator, FlowTrainer, RecipeContext
from aigc_core.networks import Block, TimeEmbedding

WIDTH = 64


class CloudFlow(FlowGenerator):
    """Clouds ``(B, N, 3)`` mixed with noise to their velocity, of the same shape."""

    sample_chunk = 16

    def __init__(self, points: int, classes: int) -> None:
        super().__init__()
        self.noise_shape, self.label_count = (points, 3), classes
        self.time, self.label = TimeEmbedding(WIDTH), nn.Embedding(classes + 1, WIDTH)
        self.point = nn.Linear(3, WIDTH)
        self.blocks = nn.Sequential(*(Block(WIDTH, heads=4, causal=False) for _ in range(3)))
        self.velocity = nn.Linear(WIDTH, 3)

    def forward(self, mixed: Tensor, times: Tensor, conditions: Mapping[str, Tensor]) -> Tensor:
        vector = self.time(times) + self.label(conditions["label"])  # (B, W)
        features = self.blocks(self.point(mixed) + vector[:, None])  # (B, N, 3) -> (B, N, W)
        velocity: Tensor = self.velocity(features)
        return velocity

    def restore(self, represented: Tensor) -> Tensor:
        """Keep clouds in [-1, 1]; a solver may end a little beyond."""
        return represented.clamp(-1, 1)


def build(context: RecipeContext) -> FlowTrainer:
    """Make the trainer, for clouds of any number of points, in classes."""
    classes = context.classes_if(True, "points/flow")
    return FlowTrainer(CloudFlow(context.sample_shape[0], classes), context.trainer)

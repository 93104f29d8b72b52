"""A GAN of point clouds, after Achlioptas et al. 2018; its losses and phases are the core's."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from aigc_core import AdversarialTrainer, Discriminator, LatentGenerator, RecipeContext


def _layers(*widths: int) -> nn.Sequential:
    pairs = [(nn.Linear(a, b), nn.LeakyReLU(0.2)) for a, b in pairwise(widths)]
    return nn.Sequential(*[layer for pair in pairs for layer in pair][:-1])


class CloudGenerator(LatentGenerator):
    """Latents ``(B, 16)`` to clouds ``(B, N, 3)`` in [-1, 1]."""

    latent_shape = (16,)

    def __init__(self, points: int) -> None:
        super().__init__()
        self.layers = _layers(16, 256, 256, 512, 3 * points)

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return torch.tanh(self.layers(latents)).view(len(latents), -1, 3)  # (B, 16) -> (B, N, 3)


class PointNet(Discriminator):
    """Clouds ``(B, N, 3)`` to logits ``(B,)``, whatever the order of their points."""

    def __init__(self) -> None:
        super().__init__()
        self.each, self.whole = _layers(3, 32, 64, 128), _layers(256, 128, 1)

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        features = self.each(samples)  # (B, N, 3) -> (B, N, 128)
        return torch.flatten(self.whole(torch.cat([features.amax(1), features.mean(1)], 1)))


def build(context: RecipeContext) -> AdversarialTrainer:
    """Make the trainer, for clouds of any number of points."""
    return AdversarialTrainer(CloudGenerator(context.sample_shape[0]), PointNet(), context.trainer)

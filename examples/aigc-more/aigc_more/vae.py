"""A variational autoencoder of point clouds: Kingma & Welling 2014, with the Chamfer distance."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from aigc_core import Batch, LatentGenerator, Phase, RecipeContext, StepState, Trainer
from aigc_more.settings import VAEConfig, VAETrainerConfig


class CloudVAE(LatentGenerator):
    """Latents ``(B, Z)`` to clouds ``(B, N, 3)``; ``encode`` goes the other way."""

    def __init__(self, config: VAEConfig, points: int) -> None:
        super().__init__()
        size, width = config.latent_size, config.width
        self.latent_shape = (size,)
        self.each = nn.Sequential(nn.Linear(3, width), nn.ReLU(), nn.Linear(width, 4 * width))
        self.code = nn.Linear(4 * width, 2 * size)
        self.decoder = nn.Sequential(
            nn.Linear(size, 4 * width), nn.ReLU(), nn.Linear(4 * width, 3 * points)
        )

    def encode(self, clouds: Tensor) -> tuple[Tensor, Tensor]:
        """Map clouds to mean and logarithm of the variance of their latents, each ``(B, Z)``."""
        features = self.each(clouds).amax(1)  # (B, N, 3) -> (B, 4 * width)
        mean, log_variance = self.code(features).chunk(2, dim=1)
        return mean, log_variance

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return torch.tanh(self.decoder(latents)).view(len(latents), -1, 3)


class VAETrainer(Trainer):
    """One network, one phase, two loss terms."""

    def __init__(self, network: CloudVAE, config: VAETrainerConfig) -> None:
        self._network = network
        self._config = config

    def networks(self) -> Mapping[str, nn.Module]:
        return {"vae": self._network}

    def generator(self) -> CloudVAE:
        return self._network

    def phases(self) -> list[Phase]:
        return [Phase("vae", ("vae",), self._loss, self._config.optimizer)]

    def _loss(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        clouds = batch["samples"]  # (B, N, 3)
        mean, log_variance = self._network.encode(clouds)
        latents = mean + (0.5 * log_variance).exp() * state.randn(*mean.shape)
        kl = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(1).mean()
        state.log("latents/spread", mean.detach().std())
        return {
            "chamfer": chamfer_distance(clouds, self._network(latents)),
            "kl": self._config.kl_weight * kl,
        }


def chamfer_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return how far points of one cloud are from the nearest of the other: (B, N, 3) -> scalar."""
    distances = torch.cdist(a.float(), b.float())  # (B, N, N)
    return distances.amin(1).mean() + distances.amin(2).mean()


def build(context: RecipeContext) -> VAETrainer:
    """Make the trainer, for clouds of any number of points."""
    return VAETrainer(CloudVAE(context.model, context.sample_shape[0]), context.trainer)

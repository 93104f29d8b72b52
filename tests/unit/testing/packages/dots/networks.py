"""Networks of a few neurons, and a trainer with a single phase."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from aigc_core import (
    AdversarialTrainer,
    Batch,
    Discriminator,
    Generator,
    LatentGenerator,
    Phase,
    RecipeContext,
    StepState,
    Trainer,
)


class DotGenerator(LatentGenerator):
    latent_shape = (4,)

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, width), nn.BatchNorm1d(width), nn.LeakyReLU(0.2), nn.Linear(width, 2)
        )

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(latents).tanh()  # (B, 4) -> (B, 2)


class DotDiscriminator(Discriminator):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2, width), nn.LeakyReLU(0.2), nn.Dropout(0.1), nn.Linear(width, 1)
        )

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(samples).flatten()  # (B, 2) -> (B,)


def build_gan(context: RecipeContext) -> AdversarialTrainer:
    width = context.model.width
    return AdversarialTrainer(DotGenerator(width), DotDiscriminator(width), context.trainer)


class MomentsTrainer(Trainer):
    def __init__(self, network: LatentGenerator, context: RecipeContext) -> None:
        self._network = network
        self._optimizer = context.trainer.optimizer

    def networks(self) -> Mapping[str, nn.Module]:
        return {"network": self._network}

    def generator(self) -> Generator:
        return self._network

    def phases(self) -> Sequence[Phase]:
        return [Phase("moments", ("network",), self._loss, self._optimizer)]

    def _loss(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        real = batch["samples"]
        fake = self._network(self._network.sample_latents(len(real), rng=state.rng))
        return {
            "mean": (fake.mean(0) - real.mean(0)).square().sum(),
            "deviation": (_deviation(fake) - _deviation(real)).square().sum(),
        }


def _deviation(samples: Tensor) -> Tensor:
    return torch.sqrt(samples.var(0, correction=0) + 1e-6)


def build_moments(context: RecipeContext) -> MomentsTrainer:
    return MomentsTrainer(DotGenerator(context.model.width), context)

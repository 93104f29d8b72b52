"""Small networks, data and a plugin that knows no content: what the core is tested with."""

import torch
from torch import Tensor, nn

from aigc_core import (
    AdversarialConfig,
    AdversarialTrainer,
    AutoregressiveGenerator,
    Discriminator,
    LatentGenerator,
    Trainer,
)


class ToyGenerator(LatentGenerator):
    latent_shape = (8,)

    def __init__(self, normalize: bool = True) -> None:
        super().__init__()
        norm = [nn.BatchNorm2d(16)] if normalize else []
        self.layers = nn.Sequential(
            nn.ConvTranspose2d(8, 16, 4), *norm, nn.ReLU(), nn.ConvTranspose2d(16, 1, 4, 2, 1)
        )

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(latents[:, :, None, None]).tanh()  # (B, 8) -> (B, 1, 8, 8)


class ToyDiscriminator(Discriminator):
    def __init__(self, normalize: bool = True) -> None:
        super().__init__()
        norm = [nn.BatchNorm2d(16)] if normalize else []
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 4, 2, 1), *norm, nn.LeakyReLU(0.2), nn.Conv2d(16, 1, 4)
        )

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(samples).flatten()  # (B, 1, 8, 8) -> (B,)


def toy_data(count: int = 200) -> Tensor:
    """Discs of random radius, ``(count, 1, 8, 8)`` float32 in [-1, 1]."""
    rng = torch.Generator().manual_seed(5)
    axis = torch.arange(8) - 3.5
    distance = (axis[:, None] ** 2 + axis**2).sqrt()
    radius = 1 + 2.5 * torch.rand((count, 1, 1), generator=rng)
    return (distance < radius).float().mul(2).sub(1)[:, None]


def toy_trainer(
    config: AdversarialConfig | None = None, *, seed: int = 0, normalize: bool = True
) -> AdversarialTrainer:
    torch.manual_seed(seed)
    generator, discriminator = ToyGenerator(normalize), ToyDiscriminator(normalize)
    return AdversarialTrainer(generator, discriminator, config or AdversarialConfig())


class ToySequence(AutoregressiveGenerator):
    """Expects the next token from all tokens before it, and the class if there is one."""

    sample_length = 12

    def __init__(self, vocabulary_size: int = 7, classes: int = 0) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary_size
        self.label_count = classes
        self.vectors = nn.Embedding(vocabulary_size + classes, 16)
        self.logits = nn.Linear(16, vocabulary_size)
        self.norm = nn.LayerNorm(16)

    def forward(self, tokens: Tensor, condition: Tensor | None = None) -> Tensor:
        x = self.vectors(tokens)  # (B, T, 16)
        places = torch.arange(1, tokens.shape[1] + 1, device=tokens.device)
        x = x + x.cumsum(1) / places[:, None]
        if condition is not None:
            x = x + self.vectors(condition + self.vocabulary_size)[:, None]
        return self.logits(self.norm(x))


class Scripted(Trainer):
    """A toy GAN whose validations find what was written down for their steps."""

    def __init__(self, script: dict[int, float], name: str = "loss", higher: bool = False) -> None:
        self._gan = toy_trainer()
        self._script, self._name, self._higher = script, name, higher

    def networks(self):
        return self._gan.networks()

    def phases(self):
        return self._gan.phases()

    def generator(self):
        return self._gan.generator()

    def validation(self):
        return lambda batch, state: {
            "other": torch.tensor(7.0),
            self._name: torch.tensor(self._script.get(state.step, 9.0)),
        }

    @property
    def higher_is_better(self):
        return [self._name] if self._higher else []

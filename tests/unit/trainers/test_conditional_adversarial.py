"""Labels in the adversarial game: who is reported of them, and what is learned from them."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from aigc_core import (
    AdversarialConfig,
    AdversarialTrainer,
    ClassifyingDiscriminator,
    Discriminator,
    Engine,
    EngineConfig,
    EngineObserver,
    LatentGenerator,
)

CLASSES = 2


class Maker(LatentGenerator):
    latent_shape = (2,)
    label_count = CLASSES

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2 + CLASSES, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        assert condition is not None
        return self.layers(torch.cat([latents, one_hot(condition, CLASSES).float()], 1))


class Judge(Discriminator):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Linear(1, 32), nn.LeakyReLU(0.2))
        self.head = nn.Linear(32, 1)
        self.embedding = nn.Embedding(CLASSES, 32)

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        assert condition is not None
        features = self.features(samples)
        return self.head(features)[:, 0] + (self.embedding(condition) * features).sum(1)


class Teller(Judge, ClassifyingDiscriminator):
    def __init__(self) -> None:
        super().__init__()
        self.classes = nn.Linear(32, CLASSES)

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.head(self.features(samples))[:, 0]

    def judge(self, samples: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        features = self.features(samples)
        return self.head(features)[:, 0], self.classes(features)


class Watch(EngineObserver):
    names: set[str] = set()

    def metrics_logged(self, engine, metrics) -> None:
        self.names = {name for name in metrics if name.count("/") == 2}


def data() -> dict[str, Tensor]:
    """Around -2 in class 0, around +2 in class 1."""
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(400) % CLASSES
    return {
        "samples": torch.randn(400, 1, generator=rng) * 0.1 + (labels * 4 - 2)[:, None],
        "labels": labels,
    }


def trained(discriminator: Discriminator, **settings) -> tuple[Engine, set[str]]:
    torch.manual_seed(0)
    watch = Watch()
    adam = {"lr": 2e-3, "betas": (0.5, 0.9)}
    config = AdversarialConfig(generator=adam, discriminator=adam, **settings)
    trainer = AdversarialTrainer(Maker(), discriminator, config)
    engine = Engine(
        trainer,
        data(),
        EngineConfig(steps=400, batch_size=50, device="cpu", precision="fp32"),
        observers=[watch],
    )
    engine.fit()
    return engine, watch.names


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (Judge, {}),
        (Judge, {"loss": "wasserstein", "gradient_penalty": 1.0, "critic_steps": 2}),
        (Judge, {"r1_penalty": 0.1, "r1_every": 4}),
        (Teller, {}),
    ],
    ids=["projection", "with gradient penalty", "with R1", "auxiliary classifier"],
)
def test_samples_are_of_the_class_that_was_asked_for(kind, settings) -> None:
    torch.manual_seed(1)
    engine, names = trained(kind(), **settings)
    samples = engine.sample(100, seed=0)[:, 0]  # the classes in turn
    assert (samples[0::2] < 0).float().mean() > 0.9
    assert (samples[1::2] > 0).float().mean() > 0.9
    classified = {name for name in names if name.endswith("/classification")}
    both = {"loss/discriminator/classification", "loss/generator/classification"}
    assert classified == (both if kind is Teller else set())

"""The adversarial game in another form than the samples', and R1 now and then."""

import pytest
import torch
from torch import Tensor, nn

from aigc_core import (
    AdversarialConfig,
    AdversarialTrainer,
    ConfigError,
    Discriminator,
    LatentGenerator,
)
from aigc_core.interfaces import StepState


class Doubled(LatentGenerator):
    """Works on samples times two, and makes nothing but what its weight says."""

    latent_shape = (1,)

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(3.0))

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.level * torch.ones_like(latents)

    def represent(self, samples: Tensor) -> Tensor:
        return samples * 2

    def restore(self, represented: Tensor) -> Tensor:
        return represented / 2


class Slope(Discriminator):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.5))
        self.seen: list[Tensor] = []

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        self.seen.append(samples.detach().clone())
        return self.weight * samples[:, 0]


def state(step: int = 0, repeat: int = 0) -> StepState:
    rng = torch.Generator().manual_seed(0)
    return StepState(step, repeat, 1, rng, {}, lambda name, value: None)


def discriminator_terms(config: AdversarialConfig, at: StepState) -> dict[str, Tensor]:
    trainer = AdversarialTrainer(Doubled(), Slope(), config)
    phase = next(phase for phase in trainer.phases() if phase.name == "discriminator")
    return dict(phase.loss({"samples": torch.ones(4, 1)}, at))


def test_the_discriminator_sees_both_in_the_generators_form() -> None:
    judge = Slope()
    trainer = AdversarialTrainer(Doubled(), judge, AdversarialConfig())
    trainer.phases()[0].loss({"samples": torch.ones(4, 1)}, state())
    real, fake = judge.seen
    assert (real == 2).all()
    assert (fake == 3).all()


def test_what_is_drawn_is_restored() -> None:
    samples = Doubled().sample(5, rng=torch.Generator().manual_seed(0))
    assert (samples == 1.5).all()


def test_r1_counts_for_the_steps_without_it() -> None:
    config = AdversarialConfig(r1_penalty=10.0, r1_every=4)
    terms = discriminator_terms(config, state(step=8))
    assert terms["r1_penalty"].item() == pytest.approx(10 * 4 * 1.5**2 / 2)
    assert "r1_penalty" not in discriminator_terms(config, state(step=9))
    assert "r1_penalty" not in discriminator_terms(config, state(step=8, repeat=1))
    assert "r1_penalty" not in discriminator_terms(AdversarialConfig(), state(step=8))


class Normalised(Slope):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(1)


@pytest.mark.parametrize("penalty", ["gradient_penalty", "r1_penalty"])
def test_a_penalty_on_gradients_needs_samples_judged_alone(penalty: str) -> None:
    with pytest.raises(ConfigError, match="without batch normalisation"):
        AdversarialTrainer(Doubled(), Normalised(), AdversarialConfig(**{penalty: 1.0}))
    AdversarialTrainer(Doubled(), Normalised(), AdversarialConfig())

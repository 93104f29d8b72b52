"""The adversarial losses against their formulas, and where naive code overflows."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from aigc_core.errors import ConfigError
from aigc_core.losses import (
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Wasserstein,
    adversarial_loss,
)

REAL, FAKE = torch.tensor([2.0, -0.5]), torch.tensor([0.3, -3.0])
NAMES = ["non-saturating", "minimax", "least-squares", "hinge", "wasserstein"]


def test_non_saturating_is_binary_cross_entropy_on_logits() -> None:
    loss = NonSaturating()
    expected = bce(REAL, torch.ones(2)) + bce(FAKE, torch.zeros(2))
    torch.testing.assert_close(loss.discriminator(REAL, FAKE), expected)
    torch.testing.assert_close(loss.generator(FAKE), bce(FAKE, torch.ones(2)))


def test_minimax_generator_minimises_what_the_discriminator_maximises() -> None:
    expected = torch.log(1 - FAKE.sigmoid()).mean()
    torch.testing.assert_close(Minimax().generator(FAKE), expected)


def test_the_saturating_loss_is_flat_where_the_discriminator_wins_and_the_other_is_not() -> None:
    slopes = {}
    for name, loss in {"minimax": Minimax(), "non-saturating": NonSaturating()}.items():
        logits = torch.tensor([-12.0], requires_grad=True)
        loss.generator(logits).backward()
        slopes[name] = logits.grad.abs().item()
    assert slopes["minimax"] < 1e-4
    assert slopes["non-saturating"] > 0.99


def test_least_squares_by_hand() -> None:
    loss = LeastSquares()
    real, fake = 0.5 * (1 + 2.25) / 2, 0.5 * (0.09 + 9) / 2
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx(real + fake)
    assert loss.generator(FAKE).item() == pytest.approx(0.5 * (0.49 + 16) / 2)


def test_hinge_by_hand() -> None:
    loss = Hinge()
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx(1.5 / 2 + 1.3 / 2)
    assert loss.generator(FAKE).item() == pytest.approx(2.7 / 2)


def test_wasserstein_by_hand() -> None:
    loss = Wasserstein()
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx(-1.35 - 0.75)
    assert loss.generator(FAKE).item() == pytest.approx(1.35)


@pytest.mark.parametrize("name", NAMES)
def test_extreme_logits_give_finite_losses_and_gradients(name: str) -> None:
    """A sigmoid before the logarithm, as in many listings, gives infinity here."""
    loss = adversarial_loss(name)
    logits = torch.tensor([1e4, -1e4], requires_grad=True)
    total = loss.discriminator(logits, logits.flip(0)) + loss.generator(logits)
    total.backward()
    assert torch.isfinite(total)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("name", NAMES)
def test_each_player_gains_by_moving_the_logits_its_way(name: str) -> None:
    loss = adversarial_loss(name)
    zero = torch.zeros(4)
    assert loss.generator(zero + 0.5) < loss.generator(zero)
    assert loss.discriminator(zero + 0.5, zero - 0.5) < loss.discriminator(zero, zero)


def test_an_unknown_loss_is_reported_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'hinge'"):
        adversarial_loss("hindge")

"""Reconstruction, divergence and classification losses, against torch's own distributions."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, Laplace, Normal, kl_divergence

from aigc_core import ConfigError
from aigc_core.losses import (
    classification,
    gaussian_kl,
    reconstruction_loss,
    reconstruction_of,
)


@pytest.fixture
def raw() -> torch.Tensor:
    return torch.randn(4, 1, 3, 3, generator=torch.Generator().manual_seed(0)) * 2


@pytest.fixture
def samples() -> torch.Tensor:
    return torch.rand(4, 1, 3, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1


def nats(log_probabilities: torch.Tensor) -> float:
    return -log_probabilities.flatten(1).sum(1).mean().item()


def test_the_reconstruction_is_twice_the_sigmoid_less_one(raw) -> None:
    assert torch.allclose(reconstruction_of(raw), 2 * raw.sigmoid() - 1, atol=1e-6)


def test_bernoulli_is_the_likelihood_of_black_and_white(raw, samples) -> None:
    bits = samples.sign()
    expected = nats(Bernoulli(logits=raw).log_prob((bits + 1) / 2))
    assert reconstruction_loss("bernoulli")(raw, bits).item() == pytest.approx(expected, rel=1e-5)


def test_gaussian_and_laplace_are_likelihoods_with_their_constants(raw, samples) -> None:
    mean = reconstruction_of(raw)
    for name, distribution in [("gaussian", Normal(mean, 0.1)), ("laplace", Laplace(mean, 0.1))]:
        expected = nats(distribution.log_prob(samples))
        assert reconstruction_loss(name)(raw, samples).item() == pytest.approx(expected, rel=1e-4)


def test_an_unknown_loss_gets_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'gaussian'"):
        reconstruction_loss("gausian")


def test_the_divergence_is_that_of_two_normals() -> None:
    mean, log_variance = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(2))
    posterior = Normal(mean, (0.5 * log_variance).exp())
    expected = kl_divergence(posterior, Normal(0.0, 1.0))
    assert torch.allclose(gaussian_kl(mean, log_variance), expected, atol=1e-5)
    assert gaussian_kl(torch.zeros(3), torch.zeros(3)).abs().max() == 0


def test_classification_is_the_likelihood_of_the_label() -> None:
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(3))
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    expected = -Categorical(logits=logits).log_prob(labels).mean()
    assert torch.allclose(classification(logits, labels), expected)
    assert classification(torch.zeros(2, 4), torch.tensor([0, 1])).item() == pytest.approx(
        math.log(4)
    )


@pytest.mark.parametrize("name", ["bernoulli", "gaussian", "laplace"])
def test_bf16_outputs_are_judged_in_float32(name, raw, samples) -> None:
    assert reconstruction_loss(name)(raw.bfloat16(), samples).dtype == torch.float32

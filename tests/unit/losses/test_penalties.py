"""WGAN-GP's penalty on critics whose gradient is known."""

import pytest
import torch

from aigc_core.losses import gradient_penalty


def test_a_linear_critic_is_penalised_by_its_slope() -> None:
    weight = torch.full((1, 4), 1.5, requires_grad=True)  # gradient norm 1.5 * 2 = 3

    def critic(samples: torch.Tensor) -> torch.Tensor:
        return (samples.flatten(1) @ weight.T).flatten()

    real, fake = torch.randn(6, 1, 2, 2), torch.randn(6, 1, 2, 2)
    penalty = gradient_penalty(critic, real, fake, torch.rand(6))
    assert penalty.item() == pytest.approx((3 - 1) ** 2)
    penalty.backward()
    assert weight.grad is not None
    assert (weight.grad > 0).all()  # a smaller slope is better


def test_the_critic_is_asked_between_the_real_and_the_fake_samples() -> None:
    asked = []

    def critic(samples: torch.Tensor) -> torch.Tensor:
        asked.append(samples.detach())
        return samples.flatten(1).sum(1)

    gradient_penalty(critic, torch.ones(3, 2), torch.zeros(3, 2), torch.tensor([0.0, 0.25, 1.0]))
    torch.testing.assert_close(asked[0][:, 0], torch.tensor([0.0, 0.25, 1.0]))

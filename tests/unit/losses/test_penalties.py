"""Penalties on critics whose gradient is known."""

import pytest
import torch

from aigc_core.losses import gradient_penalty, r1_penalty


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


def test_r1_is_half_the_square_of_the_slope_at_real_samples() -> None:
    weight = torch.tensor([1.0, 2.0, 2.0], requires_grad=True)
    real = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])

    def critic(samples: torch.Tensor) -> torch.Tensor:
        return (samples.square() @ weight) / 2  # its gradient at x is x * weight

    penalty = r1_penalty(critic, real)
    assert penalty.item() == pytest.approx((1.0 / 2 + (4 + 4) / 2) / 2)
    penalty.backward()
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, torch.tensor([0.5, 1.0, 1.0]))
    assert not real.requires_grad

"""Penalties that keep a critic well behaved."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor
) -> Tensor:
    """Return E (‖∇D(x̂)‖₂ - 1)², x̂ = ε x + (1 - ε) G(z), the penalty of WGAN-GP.

    Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", equation 3; the paper's weight
    is 10. Its gradient is a second derivative, so the critic must be twice differentiable.

    Args:
        critic: maps samples to ``(B,)`` logits. Each logit must depend only on its own sample:
            no batch normalisation (section 4 of the paper).
        real: ``(B, *sample_shape)`` real samples.
        fake: ``(B, *sample_shape)`` generated samples, detached.
        mix: ε, ``(B,)`` uniform in [0, 1).

    Returns:
        A scalar.
    """
    # The norm is taken in float32: squares of bf16 gradients lose what the penalty measures.
    with torch.autocast(real.device.type, enabled=False):
        mix = mix.view(-1, *[1] * (real.dim() - 1))  # (B,) -> (B, 1, ...)
        between = (mix * real.float() + (1 - mix) * fake.float()).requires_grad_()
        logits = critic(between)
        (gradient,) = torch.autograd.grad(logits.sum(), between, create_graph=True)
        norms: Tensor = torch.linalg.vector_norm(gradient.flatten(1), dim=1)  # (B,)
        return (norms - 1).square().mean()


def r1_penalty(critic: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """Return E ‖∇D(x)‖² / 2 over real samples: R1, which keeps a discriminator smooth at the data.

    Mescheder et al. 2018, "Which Training Methods for GANs do actually Converge?", equation 9,
    without its weight γ.

    Args:
        critic: maps samples to ``(B,)`` logits. Each logit must depend only on its own sample:
            no batch normalisation.
        real: ``(B, *sample_shape)`` real samples.

    Returns:
        A scalar.
    """
    with torch.autocast(real.device.type, enabled=False):  # as in gradient_penalty
        samples = real.detach().float().requires_grad_()
        (gradient,) = torch.autograd.grad(critic(samples).sum(), samples, create_graph=True)
        return gradient.square().flatten(1).sum(1).mean() / 2

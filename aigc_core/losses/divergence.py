"""How far an approximate posterior is from the prior."""

from __future__ import annotations

from torch import Tensor


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return KL(N(μ, σ²) ‖ N(0, 1)) = ½ (μ² + σ² - 1 - log σ²), per dimension, in nats.

    Kingma & Welling 2014, "Auto-Encoding Variational Bayes", appendix B.

    Args:
        mean: μ, ``(B, ...)``.
        log_variance: log σ², the same shape.

    Returns:
        float32 of the same shape.
    """
    mean, log_variance = mean.float(), log_variance.float()
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)

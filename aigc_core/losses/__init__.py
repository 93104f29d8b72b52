"""Loss functions with their formula and paper; they know nothing but tensors."""

from aigc_core.losses.adversarial import (
    AdversarialLoss,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Wasserstein,
    adversarial_loss,
)
from aigc_core.losses.penalties import gradient_penalty

__all__ = [
    "AdversarialLoss",
    "Hinge",
    "LeastSquares",
    "Minimax",
    "NonSaturating",
    "Wasserstein",
    "adversarial_loss",
    "gradient_penalty",
]

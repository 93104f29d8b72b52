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
from aigc_core.losses.classification import classification
from aigc_core.losses.divergence import gaussian_kl
from aigc_core.losses.penalties import gradient_penalty, r1_penalty
from aigc_core.losses.reconstruction import reconstruction_loss, reconstruction_of

__all__ = [
    "AdversarialLoss",
    "Hinge",
    "LeastSquares",
    "Minimax",
    "NonSaturating",
    "Wasserstein",
    "adversarial_loss",
    "classification",
    "gaussian_kl",
    "gradient_penalty",
    "r1_penalty",
    "reconstruction_loss",
    "reconstruction_of",
]

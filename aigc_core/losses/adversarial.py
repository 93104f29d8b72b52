"""The adversarial losses, on raw logits.

D and G are the networks, x a real sample, z a latent, σ the sigmoid. Logits go in, ``(B,)`` float;
a scalar mean comes out. softplus(a) = log(1 + exp(a)), so -log σ(a) = softplus(-a) without the
overflow of taking a sigmoid first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor
from torch.nn.functional import relu, softplus

from aigc_core.errors import ConfigError, did_you_mean


class AdversarialLoss(ABC):
    """The two losses of an adversarial game, both to be minimised."""

    @abstractmethod
    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return the discriminator's scalar loss for ``(B,)`` logits of real and fake samples."""

    @abstractmethod
    def generator(self, fake_logits: Tensor) -> Tensor:
        """Return the generator's scalar loss for ``(B,)`` logits of fake samples."""


class Minimax(AdversarialLoss):
    """L_D = -E log σ(D(x)) - E log(1 - σ(D(G(z)))), L_G = E log(1 - σ(D(G(z)))).

    Goodfellow et al. 2014, "Generative Adversarial Nets", equation 1: the saturating game. L_G is
    flat where the discriminator wins, which is why NonSaturating exists.
    """

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return softplus(-real_logits).mean() + softplus(fake_logits).mean()

    def generator(self, fake_logits: Tensor) -> Tensor:
        return -softplus(fake_logits).mean()


class NonSaturating(Minimax):
    """L_D as in the minimax game, L_G = -E log σ(D(G(z))).

    Goodfellow et al. 2014, section 3. The same as binary cross-entropy against ones for real and
    zeros for fake samples, and against ones for the generator.
    """

    def generator(self, fake_logits: Tensor) -> Tensor:
        return softplus(-fake_logits).mean()


class LeastSquares(AdversarialLoss):
    """L_D = ½ E (D(x) - 1)² + ½ E D(G(z))², L_G = ½ E (D(G(z)) - 1)².

    Mao et al. 2017, "Least Squares Generative Adversarial Networks", equation 9 (0-1 coding).
    """

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return 0.5 * (real_logits - 1).square().mean() + 0.5 * fake_logits.square().mean()

    def generator(self, fake_logits: Tensor) -> Tensor:
        return 0.5 * (fake_logits - 1).square().mean()


class Hinge(AdversarialLoss):
    """L_D = E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))), L_G = -E D(G(z)).

    Lim & Ye 2017, "Geometric GAN", equations 5-6; Miyato et al. 2018, equations 16-17.
    """

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return relu(1 - real_logits).mean() + relu(1 + fake_logits).mean()

    def generator(self, fake_logits: Tensor) -> Tensor:
        return -fake_logits.mean()


class Wasserstein(AdversarialLoss):
    """L_D = E D(G(z)) - E D(x), L_G = -E D(G(z)), for a critic D that is 1-Lipschitz.

    Arjovsky et al. 2017, "Wasserstein GAN", equation 2. Needs a constraint on the critic, such as
    ``gradient_penalty``.
    """

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return fake_logits.mean() - real_logits.mean()

    def generator(self, fake_logits: Tensor) -> Tensor:
        return -fake_logits.mean()


_LOSSES: dict[str, type[AdversarialLoss]] = {
    "non-saturating": NonSaturating,
    "minimax": Minimax,
    "least-squares": LeastSquares,
    "hinge": Hinge,
    "wasserstein": Wasserstein,
}


def adversarial_loss(name: str) -> AdversarialLoss:
    """Return an adversarial loss by name; raise ``ConfigError`` for an unknown one."""
    if name not in _LOSSES:
        raise ConfigError(f"There is no adversarial loss '{name}'.{did_you_mean(name, _LOSSES)}")
    return _LOSSES[name]()

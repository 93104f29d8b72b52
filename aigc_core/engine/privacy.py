"""Differentially private training: what a step reveals of any one sample is bounded and counted.

DP-SGD (Abadi et al. 2016, "Deep Learning with Differential Privacy", algorithm 1): each step sees
every sample with the same small probability (Poisson sampling), each sample's gradient is cut to a
length, and normal noise is added to their sum. Two data sets that differ in one sample then give
the same weights with nearly the same probability: by a factor of at most e^epsilon, except with
probability delta.
"""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.modules.batchnorm import _BatchNorm

from aigc_core.engine.seeds import derive_seed
from aigc_core.errors import ConfigError
from aigc_core.interfaces import Batch, Phase, PrivacyConfig

_STAIRS = 25
"""Into how many spans a training is divided; epsilon is computed at their ends only."""
_MAX_NOISE = 1000.0


def private_phase(phases: Sequence[Phase], networks: Mapping[str, nn.Module]) -> Phase | None:
    """Return the phase that is private, or None if none is.

    Raises:
        ConfigError: several are, or a network has batch normalisation.
    """
    private = [phase for phase in phases if phase.privacy is not None]
    if not private:
        return None
    if len(private) > 1:
        names = ", ".join(phase.name for phase in private)
        raise ConfigError(f"Only one phase of a trainer can be private, and these are: {names}.")
    for network, module in networks.items():
        for name, part in module.named_modules():
            if isinstance(part, _BatchNorm):
                raise ConfigError(
                    "trainer.privacy needs networks without batch normalisation, through which a "
                    f"sample's gradient reaches other samples, and '{network}.{name}' is one. "
                    "Choose another recipe, or another normalisation if the recipe has a setting."
                )
    return private[0]


class PoissonOrder:
    """Which samples a private update sees: each with the same probability, on its own."""

    def __init__(self, count: int, rate: float, seed: int, device: torch.device) -> None:
        """Choose among ``count`` samples with probability ``rate``; indices are on ``device``."""
        self._count, self._rate = count, rate
        self._seed, self._device = seed, device

    def indices(self, update: int) -> Tensor:
        """Return int64 ``(n,)``, n being random, perhaps 0; depends on seed and update alone."""
        rng = torch.Generator().manual_seed(derive_seed(self._seed, "poisson", update))
        drawn = torch.rand(self._count, generator=rng, dtype=torch.float64)
        return (drawn < self._rate).nonzero().flatten().to(self._device)


class PrivacyAccount:
    """What updates have cost so far: epsilon at a given delta, for adding or removing one sample.

    By the privacy loss distribution of the composed, Poisson-sampled Gaussian mechanism (Koskela
    et al. 2020; Doroshenko et al. 2022), which the library ``dp-accounting`` computes as an upper
    bound that is tight to a fraction of a percent.
    """

    def __init__(
        self, config: PrivacyConfig, *, rate: float, total_updates: int, noise: float | None = None
    ) -> None:
        """Open an account.

        Args:
            config: what is asked for.
            rate: probability with which an update sees a sample.
            total_updates: of the training.
            noise: the multiplier that earlier updates of the training had, if there were any.

        Raises:
            ConfigError: ``dp-accounting`` is not installed, or no noise is enough for epsilon.
        """
        self.config, self.rate, self.total_updates = config, rate, total_updates
        self._spent: dict[int, float] = {0: 0.0}
        if noise is None:
            noise = config.noise_multiplier
        self.noise = self._calibrated(total_updates) if noise is None else noise

    def spent(self, updates: int) -> float:
        """Return epsilon after this many updates; infinite without noise."""
        if not self.noise:
            return math.inf if updates else 0.0
        if updates not in self._spent:
            self._spent[updates] = self._epsilon(self.noise, updates, 1e-4)
        return self._spent[updates]

    def metrics(self, updates: int) -> dict[str, float]:
        """Return what to log; between the ends of spans, epsilon is that of the next end."""
        if not self.noise:
            return {}
        span = max(1, math.ceil(self.total_updates / _STAIRS))
        end = min(math.ceil(updates / span) * span, max(self.total_updates, updates))
        return {"privacy/epsilon": self.spent(end), "privacy/delta": self.config.delta}

    @functools.cached_property
    def affordable(self) -> int:
        """How many updates keep epsilon within the budget, at most ``total_updates``."""
        budget, least, most = self.config.epsilon, 0, self.total_updates
        if budget is None or self._epsilon(self.noise, most, 1e-3) <= budget:
            return most
        while most - least > 1:
            middle = (least + most) // 2
            if self._epsilon(self.noise, middle, 1e-3) <= budget:
                least = middle
            else:
                most = middle
        return least

    def _calibrated(self, updates: int) -> float:
        """Return the least noise multiplier, to three digits, that keeps within epsilon."""
        budget = self.config.epsilon
        assert budget is not None, "the configuration has a noise multiplier or an epsilon"
        least, most = 0.0, 0.5

        def epsilon(noise: float) -> float:
            return self._epsilon(noise, updates, 1e-3)  # a little too high, and much faster

        while epsilon(most) > budget:
            least, most = most, 2 * most
            if most > _MAX_NOISE:
                raise ConfigError(
                    f"trainer.privacy.epsilon={budget:g} is too small for {updates:,} updates that "
                    f"each see {self.rate:.3%} of the data. Allow more, or train for fewer steps."
                )
        while most - least > 1e-3 * most:
            middle = (least + most) / 2
            if epsilon(middle) <= budget:
                most = middle
            else:
                least = middle
        return most

    def _epsilon(self, noise: float, updates: int, interval: float) -> float:
        """Return an upper bound of epsilon; ``interval`` is of the losses' discrete values."""
        accounting = _library()
        event = accounting.PoissonSampledDpEvent(self.rate, accounting.GaussianDpEvent(noise))
        if noise < 0.2:  # the distribution would take minutes, to say that nothing is private
            account = accounting.rdp.RdpAccountant()
        else:
            interval = interval if noise >= 0.4 else 1e-3  # it matters where epsilon is small
            account = accounting.pld.PLDAccountant(value_discretization_interval=interval)
        account.compose(accounting.SelfComposedDpEvent(event, updates))
        return float(account.get_epsilon(self.config.delta))


def _library() -> Any:
    try:
        library: Any = importlib.import_module("dp_accounting")
        for part in ("pld", "rdp"):
            importlib.import_module(f"dp_accounting.{part}")
    except ImportError:
        raise ConfigError(
            "trainer.privacy counts epsilon with dp-accounting, which is not installed. "
            "Install it with: pip install dp-accounting"
        ) from None
    return library


Terms = Callable[[Batch, Callable[[str, Tensor], None]], tuple[Tensor, dict[str, Tensor]]]
"""Computes a phase's loss () on a batch, and what to log by name, given where else to log."""


class ClippedGradients:
    """Sums gradients of single samples, each cut to a length."""

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        parameters: Sequence[nn.Parameter],
        clip_norm: float,
    ) -> None:
        """Take the networks that a loss uses, and those of their parameters that learn."""
        self._loss = _Loss(networks)
        wanted = set(parameters)
        self._named = {n: p for n, p in self._loss.named_parameters() if p in wanted}
        self._clip_norm = clip_norm

    def sum(
        self, terms: Terms, batch: Batch
    ) -> tuple[dict[nn.Parameter, Tensor], dict[str, Tensor]]:
        """Return the sum over a batch's samples by parameter, and the means of what was logged.

        A sample whose gradient is not finite counts as zero, so that it cannot stop an update.
        """

        def one(
            parameters: dict[str, Tensor], row: dict[str, Tensor]
        ) -> tuple[Tensor, dict[str, Tensor]]:
            logged: dict[str, Tensor] = {}
            single = {name: value.unsqueeze(0) for name, value in row.items()}
            arguments = (terms, single, logged.__setitem__)
            loss, values = functional_call(self._loss, parameters, arguments)
            return loss, {**logged, **values}

        gradients_of = vmap(grad(one, has_aux=True), in_dims=(None, 0), randomness="different")
        live = {name: parameter.detach() for name, parameter in self._named.items()}
        gradients, logged = gradients_of(live, dict(batch))
        squares = [g.flatten(1).float().square().sum(1) for g in gradients.values()]
        norms = torch.stack(squares).sum(0).sqrt()  # (B,)
        usable = torch.isfinite(norms)
        factors = torch.where(usable, (self._clip_norm / norms.clamp(min=1e-12)).clamp(max=1), 0)
        summed = {
            self._named[name]: torch.einsum(
                "b,b...->...", factors.to(g.dtype), torch.nan_to_num(g, 0.0, 0.0, 0.0)
            )
            for name, g in gradients.items()
        }
        return summed, {name: value.float().mean() for name, value in logged.items()}


class _Loss(nn.Module):
    """Lets a loss that reaches networks by itself be computed with other values of parameters."""

    def __init__(self, networks: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleDict(dict(networks))

    def forward(
        self, terms: Terms, batch: Batch, log: Callable[[str, Tensor], None]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        return terms(batch, log)


def without_data(example: Batch, count: int, classes: int, rng: torch.Generator) -> Batch:
    """Return what phases that are not private get for a batch: nothing of the data.

    Args:
        example: a batch of any length, for shapes and types.
        count: samples.
        classes: number of classes, if there are labels.
        rng: draws labels, each class alike.
    """
    batch = {}
    for name, value in example.items():
        if name == "labels" and classes:
            batch[name] = torch.randint(classes, (count,), generator=rng, device=rng.device)
        else:
            batch[name] = value.new_zeros((count, *value.shape[1:]))
    return batch

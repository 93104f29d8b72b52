"""Differentially private training: what a step reveals of any one sample is bounded and counted.

DP-SGD (Abadi et al. 2016, "Deep Learning with Differential Privacy", algorithm 1): each step sees
every sample with the same small probability (Poisson sampling), each sample's gradient is cut to a
length, and normal noise is added to their sum. Two data sets that differ in one sample then give
the same weights with nearly the same probability: by a factor of at most e^epsilon, except with
probability delta.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _BatchNorm

from aigc_core.config import EngineConfig
from aigc_core.engine.accountant import PrivacyAccount
from aigc_core.engine.data import ResidentData
from aigc_core.engine.seeds import derive_seed
from aigc_core.errors import ConfigError, RunError
from aigc_core.interfaces import Batch, Phase

logger = logging.getLogger("aigc")


class PrivateBatch(NamedTuple):
    """What a private phase sees in one update."""

    parts: Sequence[Batch]
    """Its batch, in parts that fit in memory; none if no sample was chosen."""
    average: int
    """Samples that a batch has on average."""
    noise: float
    """Standard deviation of the noise on the sum of gradients."""


class PrivateTraining:
    """The private phase of a training: what it sees, and what that costs."""

    def __init__(
        self,
        phase: Phase,
        networks: Mapping[str, nn.Module],
        data: ResidentData,
        config: EngineConfig,
        device: torch.device,
    ) -> None:
        """Take the phase, all networks, and where samples come from.

        Raises:
            ConfigError: a network has batch normalisation, or the data is too small or unpaired.
        """
        assert phase.privacy is not None
        self._phase, self._settings = phase, phase.privacy
        self._data, self._config, self._device = data, config, device
        _check_networks(networks)
        if config.precision not in ("auto", "fp32"):
            raise ConfigError(
                "trainer.privacy computes the gradients of single samples, in float32: leave out "
                f"engine.precision={config.precision}."
            )
        if config.batch_size > len(data):
            raise ConfigError(
                f"Private training draws about {config.batch_size} samples a step, and there "
                f"are {len(data)}. Set a smaller engine.batch_size."
            )
        if len(data.lengths) > 1:
            raise ConfigError("Private training needs data whose columns are all paired.")
        if self._settings.delta >= 1 / len(data):
            logger.warning(
                "trainer.privacy.delta=%g allows a whole sample to be revealed, since it is not "
                "less than 1 / %s samples: set a smaller one.",
                self._settings.delta,
                f"{len(data):,}",
            )
        self._rate = config.batch_size / len(data)
        self._order = PoissonOrder(len(data), self._rate, config.seed, data.index_device)
        self._account: PrivacyAccount | None = None

    @classmethod
    def of(
        cls,
        phases: Sequence[Phase],
        networks: Mapping[str, nn.Module],
        data: ResidentData,
        config: EngineConfig,
        device: torch.device,
    ) -> PrivateTraining | None:
        """Return that of the phase that is private, or None if none is.

        Raises:
            ConfigError: several are, or it cannot be private.
        """
        private = [phase for phase in phases if phase.privacy is not None]
        if not private:
            return None
        if len(private) > 1:
            names = ", ".join(phase.name for phase in private)
            raise ConfigError(
                f"Only one phase of a trainer can be private, and these are: {names}."
            )
        return cls(private[0], networks, data, config, device)

    @property
    def account(self) -> PrivacyAccount:
        """What it has cost; to be opened first."""
        assert self._account is not None, "the account was not opened"
        return self._account

    @property
    def noise(self) -> float | None:
        """The noise multiplier; None before the account is opened."""
        return self._account.noise if self._account is not None else None

    def close_account(self) -> None:
        """Forget the account, since the training is at another step."""
        self._account = None

    def open_account(self, step: int, total_steps: int, noise: float | None) -> PrivacyAccount:
        """Open the account, if it is not open; may take seconds.

        Args:
            step: steps that were trained.
            total_steps: of the training.
            noise: the multiplier that those had; None for steps that were not private.

        Raises:
            ConfigError: epsilon cannot be counted, or is too small for this many steps.
            RunError: the budget is spent already, or earlier steps had no noise, or another.
        """
        if self._account is not None:
            return self._account
        settings = self._settings
        if step and noise is None:
            raise RunError(
                f"The first {step:,} steps were not private, so the run cannot become so: "
                "start a new one with trainer.privacy."
            )
        if step and settings.noise_multiplier not in (None, noise):
            raise RunError(
                f"Earlier steps had a noise multiplier of {noise:g}, which a run keeps: "
                f"leave trainer.privacy.noise_multiplier={settings.noise_multiplier:g} out."
            )
        account = PrivacyAccount(
            settings, rate=self._rate, total_updates=self._updates(total_steps), noise=noise
        )
        if account.affordable < self._updates(step + 1):
            spent = account.spent(self._updates(step))
            if not step:
                first = account.spent(self._updates(1))
                raise ConfigError(
                    f"trainer.privacy.epsilon={settings.epsilon:g} is less than the {first:.4g} of "
                    f"a single step with noise_multiplier={account.noise:g}. Set more noise."
                )
            raise RunError(
                f"The privacy budget is spent: epsilon {spent:.4g} after {step:,} steps, and "
                f"one more would exceed trainer.privacy.epsilon={settings.epsilon:g}."
            )
        self._account = account
        return account

    def metrics(self, step: int) -> dict[str, float]:
        """Return what to log after a step."""
        return self.account.metrics(self._updates(step))

    def spent_before(self, step: int) -> str | None:
        """Return why there can be no step after this one; None if there can."""
        if self.account.affordable >= self._updates(step + 1):
            return None
        spent = self.account.spent(self._updates(step))
        return f"its epsilon of {self._settings.epsilon:g} is spent: {spent:.4g}"

    def batch(self, step: int, repeat: int, part_size: int) -> PrivateBatch:
        """Return what the private phase sees in one repeat of a step."""
        rows = self._order.indices(step * self._phase.repeats + repeat)
        parts = [self._data.take(part) for part in torch.split(rows, part_size) if len(part)]
        noise = self.account.noise * self._settings.clip_norm
        return PrivateBatch(parts, self._config.batch_size, noise)

    def nothing(self, size: int, seed: int) -> Batch:
        """Return what all other phases get for a batch: nothing of the data."""
        index = torch.zeros(1, dtype=torch.int64, device=self._data.index_device)
        example = self._data.take(index)  # for shapes and types
        rng = torch.Generator(self._device).manual_seed(seed)
        batch = {}
        for name, value in example.items():
            if name == "labels" and self._classes:
                batch[name] = torch.randint(
                    self._classes, (size,), generator=rng, device=rng.device
                )
            else:
                batch[name] = value.new_zeros((size, *value.shape[1:]))
        return batch

    def _updates(self, steps: int) -> int:
        """Return how many updates the phase makes at most in this many steps."""
        return math.ceil(steps / self._phase.every) * self._phase.repeats

    @functools.cached_property
    def _classes(self) -> int:
        return int(self._data.stored("labels", torch.arange(len(self._data))).max()) + 1


def _check_networks(networks: Mapping[str, nn.Module]) -> None:
    for network, module in networks.items():
        for name, part in module.named_modules():
            if isinstance(part, _BatchNorm):
                raise ConfigError(
                    "trainer.privacy needs networks without batch normalisation, through which a "
                    f"sample's gradient reaches other samples, and '{network}.{name}' is one. "
                    "Choose another recipe, or another normalisation if the recipe has a setting."
                )


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
        with sdpa_kernel(SDPBackend.MATH):  # the one kind of attention that vmap knows
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

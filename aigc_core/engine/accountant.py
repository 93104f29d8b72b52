"""What differentially private training has cost so far: epsilon, at a given delta."""

from __future__ import annotations

import functools
import importlib
import math
from typing import Any

from aigc_core.errors import ConfigError
from aigc_core.interfaces import PrivacyConfig

_STAIRS = 25
"""Into how many spans a training is divided; epsilon is computed at their ends only."""
_MAX_NOISE = 1000.0


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
        end = min(math.ceil(updates / span) * span, max(self.affordable, updates))
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

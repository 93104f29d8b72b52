"""Weights that networks start from, instead of random ones."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from aigc_core.engine import renaming
from aigc_core.errors import ConfigError, RunError
from aigc_core.interfaces import Trainer
from aigc_core.runs.facts import DatasetFacts, other_meanings
from aigc_core.runs.record import listed

logger = logging.getLogger("aigc")
AVERAGED = "ema."


class Fit(NamedTuple):
    """What became of some weights that networks were to start from; names of tensors."""

    fitted: list[str]
    missing: list[str]
    """Of the networks, and not among the weights."""
    left_over: list[str]
    """Among the weights, and not of the networks."""
    reshaped: list[str]
    """In both, with different shapes."""


class InitialWeights:
    """Weights by name, and how strictly they have to fit."""

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        source: str,
        *,
        strict: bool = False,
        kept: bool = False,
        facts: DatasetFacts | None = None,
    ) -> None:
        """Take the weights.

        Args:
            weights: ``<network>.<name>`` and ``ema.<name>``, or names within the generator.
            source: where they are from, for messages.
            strict: whether everything has to fit.
            kept: whether a run wrote them for itself, so that anything else is damage.
            facts: of the data that they learned from, if known.
        """
        self._weights = dict(weights)
        self._source = source
        self._strict, self._kept, self._facts = strict, kept, facts
        self.fit: Fit | None = None
        """What became of them, once they were applied."""
        self.applied: dict[str, Tensor] = {}
        """All weights of the networks then, by name, on the CPU."""

    @torch.no_grad()
    def apply(self, trainer: Trainer) -> None:
        """Copy what fits into a trainer's networks.

        Averaged weights of a generator go into the generator itself: they are what it draws with.

        Raises:
            ConfigError: nothing fits or, if ``strict``, anything does not.
            RunError: a run's own weights do not fit.
        """
        networks = trainer.networks()
        own = {
            f"{n}.{k}": v for n, module in networks.items() for k, v in module.state_dict().items()
        }
        generator = next((n for n, m in networks.items() if m is trainer.generator()), None)
        rename = renaming(networks)
        offered = {rename(name): value for name, value in self._weights.items()}
        averaged = {n: v for n, v in offered.items() if n.startswith(AVERAGED)}
        for name, value in averaged.items():
            del offered[name]
            if generator is not None:
                offered[f"{generator}.{name.removeprefix(AVERAGED)}"] = value
        if generator is not None and not set(offered) & set(own):
            offered = {f"{generator}.{name}": value for name, value in offered.items()}
        same = [name for name in own if name in offered]
        fitted = [name for name in same if own[name].shape == offered[name].shape]
        fit = self.fit = Fit(
            fitted,
            [name for name in own if name not in offered],
            [name for name in offered if name not in own],
            [name for name in same if name not in set(fitted)],
        )
        self._check(fit, list(own), list(offered))
        for name in fitted:
            own[name].copy_(offered[name])
        self.applied = {name: tensor.detach().clone().contiguous() for name, tensor in own.items()}

    def check_meanings(self, now: DatasetFacts) -> None:
        """Log what the weights learned that does not hold for data: classes, tokens, units.

        Raises:
            ConfigError: there is such a thing, and everything has to fit.
        """
        found = other_meanings(self._facts, now) if self._facts is not None else []
        if not found:
            return
        message = f"{self._source} learned from other data: {'; '.join(found)}."
        if self._strict:
            raise ConfigError(f"{message} That does not fit as --strict-init asks.")
        logger.warning("%s Weights that depend on it start out wrong.", message)

    def report(self) -> None:
        """Log what fitted and what did not."""
        fit = self.fit
        if fit is None:
            return
        logger.info("Starting from %s: %s tensors fit.", self._source, f"{len(fit.fitted):,}")
        for names, sentence in (
            (fit.reshaped, "have another shape there, and start at random"),
            (fit.missing, "are missing there, and start at random"),
            (fit.left_over, "are there, and not in this model"),
        ):
            if names:
                logger.info("%s %s: %s", f"{len(names):,}", sentence, listed(names))

    def _check(self, fit: Fit, own: list[str], offered: list[str]) -> None:
        wrong = [*fit.missing, *fit.left_over, *fit.reshaped]
        if self._kept and wrong:
            raise RunError(f"{self._source} does not fit the model, such as '{wrong[0]}'.")
        if not fit.fitted:
            there = f"'{offered[0]}'" if offered else "nothing"
            raise ConfigError(
                f"Nothing in {self._source} fits this model: it has {there}, and the model "
                f"'{own[0]}'. Choose a run of the same recipe, or other settings of the model."
            )
        if self._strict and wrong:
            kinds = [
                f"{len(names)} {what} ({listed(names)})"
                for names, what in (
                    (fit.missing, "missing"),
                    (fit.left_over, "left over"),
                    (fit.reshaped, "of another shape"),
                )
                if names
            ]
            raise ConfigError(
                f"{self._source} does not fit as --strict-init asks: {', '.join(kinds)}."
            )

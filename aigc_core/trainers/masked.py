"""Masked diffusion: a network learns to fill in tokens, any of them, from all that are there.

Sahoo et al. 2024, "Simple and Effective Masked Diffusion Language Models". At time t in (0, 1] each
token of a sample is hidden with probability t. Drawing goes back from t = 1, where all are: tokens
appear a few at a time, wherever, and stay.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from aigc_core.interfaces.autoregressive import drawn, filtered
from aigc_core.interfaces.config import ConfigModel
from aigc_core.interfaces.generator import Condition, Generator
from aigc_core.interfaces.trainer import Batch, Phase, StepState, Trainer
from aigc_core.trainers.config import MaskedConfig, MaskedControls

_LEAST_TIME = 1e-3  # below it, a batch rarely hides a token


class MaskedGenerator(Generator):
    """A network over sequences of tokens, integers in [0, vocabulary_size), some of them hidden.

    Subclasses set ``vocabulary_size`` and ``sample_length`` and implement ``forward``.
    """

    sample_chunk: ClassVar[int] = 8
    controls: ClassVar[type[ConfigModel]] = MaskedControls
    vocabulary_size: int
    sample_length: int
    """Tokens per sample."""

    @property
    def conditions(self) -> Mapping[str, Condition]:
        """A class, if the network knows some; and a ``text`` with gaps, to be filled."""
        return {**super().conditions, "text": Condition("samples", continued=False, gaps=True)}

    @abstractmethod
    def forward(self, tokens: Tensor, condition: Tensor | None = None) -> Tensor:
        """Map int64 tokens ``(B, T)`` to logits ``(B, T, vocabulary_size)`` of what each is.

        ``vocabulary_size`` itself stands for a hidden token. ``condition`` holds int64 labels
        ``(B,)``, or is None if the generator knows no classes.
        """

    def sample(
        self,
        count: int,
        *,
        rng: torch.Generator,
        conditions: Mapping[str, Tensor] | None = None,
        controls: ConfigModel | None = None,
    ) -> Tensor:
        """Fill in what is not given, int64 ``(count, sample_length)``; see ``MaskedControls``."""
        controls = cast(MaskedControls, MaskedControls() if controls is None else controls)
        conditions = conditions or {}
        mask = self.vocabulary_size
        tokens = torch.full((count, self.sample_length), mask, device=rng.device)
        given = conditions.get("text")
        if given is not None:
            tokens = torch.where(given >= 0, given, tokens)
        for step in range(controls.steps, 0, -1):
            # From t = step / steps to one step earlier: of what is hidden, 1 / step appears.
            hidden = tokens == mask
            logits = self(tokens, conditions.get("label")).flatten(0, 1).float()
            found = drawn(filtered(logits, controls).softmax(1), rng).view_as(tokens)
            chances = torch.rand(tokens.shape, generator=rng, device=rng.device)
            tokens = torch.where(hidden & (chances < 1 / step), found, tokens)
        return tokens


class MaskedTrainer(Trainer):
    """Minimises an upper bound of -E log p(sample), in nats per token.

    Equation 10 of the paper with a linear schedule: at time t, the negative log-likelihood of the
    hidden tokens, divided by t.
    """

    def __init__(self, generator: MaskedGenerator, config: MaskedConfig) -> None:
        self._generator, self._config = generator, config

    def networks(self) -> Mapping[str, nn.Module]:
        return {"generator": self._generator}

    def generator(self) -> MaskedGenerator:
        return self._generator

    def phases(self) -> Sequence[Phase]:
        config = self._config
        return [
            Phase("bound", ("generator",), self._loss, config.optimizer, privacy=config.privacy)
        ]

    def validation(self) -> Callable[[Batch, StepState], Mapping[str, Tensor]]:
        return self._validate

    def _loss(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        bound, share = self._bound(batch, state)
        state.log("right", share)
        return {"cross_entropy": bound}

    def _validate(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        return {"loss": self._bound(batch, state)[0]}

    def _bound(self, batch: Batch, state: StepState) -> tuple[Tensor, Tensor]:
        """Return the bound, and the share of hidden tokens that the most probable one would be."""
        generator, tokens = self._generator, batch["samples"]
        count = len(tokens)
        # Times spread evenly over a batch: the bound varies less than with independent ones.
        places = state.part * count + torch.arange(count, device=tokens.device)
        spread = (places + state.rand(1)) / (count * state.all_parts)
        times = spread.clamp(min=_LEAST_TIME)  # (B,)
        hidden = state.rand(*tokens.shape) < times[:, None]
        seen = torch.where(hidden, generator.vocabulary_size, tokens)
        labels = batch["labels"] if generator.label_count else None
        logits = generator(seen, labels).float()  # (B, T, V)
        nats = cross_entropy(logits.flatten(0, 1), tokens.flatten(), reduction="none")
        nats = nats.view_as(tokens) * hidden
        bound = (nats.sum(1) / times).mean() / tokens.shape[1]
        right = ((logits.detach().argmax(2) == tokens) & hidden).sum() / hidden.sum().clamp(min=1)
        return bound, right

"""Generators that make a sample token by token, each drawn from the network's prediction."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from aigc_core.interfaces.config import ChoiceControls, ConfigModel, TokenControls
from aigc_core.interfaces.generator import Condition, Generator


class AutoregressiveGenerator(Generator):
    """A network over sequences of tokens, integers in [0, vocabulary_size).

    Subclasses set ``vocabulary_size`` and ``sample_length`` and implement ``forward``. One that
    can cache its work on earlier tokens also implements ``new_cache`` and ``next_logits``; drawing
    a token then costs the work of one token instead of the whole sequence.
    """

    sample_chunk: ClassVar[int] = 1
    controls: ClassVar[type[ConfigModel]] = TokenControls
    vocabulary_size: int
    sample_length: int
    """Tokens per sample, unless another number is asked for."""
    start_token: int = 0
    """The token before the first, if there is no prompt; ``vocabulary_size`` for an extra token
    that is never drawn."""
    learns_start: bool = False
    """Whether samples start at a real beginning, as clips do, and not in the middle of something,
    as windows of a text do. If so, what follows ``start_token`` is learned too."""

    @property
    def conditions(self) -> Mapping[str, Condition]:
        """A class, if the network knows some; and a beginning, ``prompt``, to be continued."""
        return {**super().conditions, "prompt": Condition("samples")}

    @abstractmethod
    def forward(self, tokens: Tensor, condition: Tensor | None = None) -> Tensor:
        """Map int64 tokens ``(B, T)`` to logits ``(B, T, vocabulary_size)`` of what follows each.

        Logits at t depend only on tokens up to t.
        """

    def to_tokens(self, samples: Tensor) -> Tensor:
        """Map samples in the model's form to int64 tokens ``(B, T)``; by default the identity."""
        return samples

    def from_tokens(self, tokens: Tensor) -> Tensor:
        """Map int64 tokens ``(B, T)`` to samples in the model's form; by default the identity."""
        return tokens

    def new_cache(self, batch: int, condition: Tensor | None = None) -> Any:
        """Return an empty cache for ``next_logits``; by default it keeps all tokens so far."""
        return {"tokens": None, "condition": condition}

    def next_logits(self, tokens: Tensor, cache: Any) -> Tensor:
        """Take further tokens ``(B, n)`` and return the logits ``(B, vocabulary_size)`` after them.

        Args:
            tokens: int64; first the whole prompt, then one column at a time.
            cache: from ``new_cache``; changed in place.
        """
        known = cache["tokens"]
        cache["tokens"] = tokens if known is None else torch.cat([known, tokens], dim=1)
        logits: Tensor = self(cache["tokens"], cache["condition"])
        return logits[:, -1]

    def stream(
        self,
        count: int,
        *,
        rng: torch.Generator,
        conditions: Mapping[str, Tensor] | None = None,
        controls: ConfigModel | None = None,
    ) -> Iterator[Tensor]:
        """Yield one token after another, int64 ``(count,)`` each, endlessly.

        Without gradients. Setting the network's mode is up to the caller.

        Args:
            count: how many sequences.
            rng: the only source of randomness, on the network's device.
            conditions: none if not given; ``label`` ``(count,)``, if the network knows classes;
                ``prompt``, what comes before, in the model's form ``(count, ...)``, or ``(1, ...)``
                for the same for all: it is not yielded.
            controls: ``TokenControls``, whose defaults count if not given, or ``ChoiceControls``;
                ``tokens`` is the caller's business.
        """
        sampling, conditions = _token_controls(controls), conditions or {}
        with torch.inference_mode():
            cache = self.new_cache(count, conditions.get("label"))
        prompt = conditions.get("prompt")
        if prompt is None:
            tokens = torch.full((count, 1), self.start_token, device=rng.device)
        else:
            tokens = self.to_tokens(prompt).expand(count, -1)  # (count, T)
        seen: Tensor | None = None
        if isinstance(sampling, TokenControls) and sampling.repetition_penalty != 1:
            size = self.vocabulary_size + 1  # the start token may be an extra one
            seen = torch.zeros(count, size, dtype=torch.bool, device=rng.device)
        while True:
            if seen is not None:
                seen.scatter_(1, tokens, True)
            with torch.inference_mode():  # ended before the caller gets the token
                known = None if seen is None else seen[:, : self.vocabulary_size]
                logits = filtered(self.next_logits(tokens, cache).float(), sampling, known)
            tokens = drawn(logits.softmax(1), rng)  # (count, 1)
            yield tokens[:, 0]

    def sample(
        self,
        count: int,
        *,
        rng: torch.Generator,
        conditions: Mapping[str, Tensor] | None = None,
        controls: ConfigModel | None = None,
    ) -> Tensor:
        """Draw samples of ``controls.tokens`` tokens, or else ``sample_length``."""
        steps = self.sample_in_steps(count, rng=rng, conditions=conditions, controls=controls)
        return next(samples for samples in steps if samples is not None)

    def sample_in_steps(
        self,
        count: int,
        *,
        rng: torch.Generator,
        conditions: Mapping[str, Tensor] | None = None,
        controls: ConfigModel | None = None,
    ) -> Iterator[Tensor | None]:
        """Draw samples as ``sample`` does: yields None after each token, and the samples last."""
        steps = self.stream(count, rng=rng, conditions=conditions, controls=controls)
        wanted = controls.tokens if isinstance(controls, TokenControls) else None
        tokens = []
        for _ in range(wanted or self.sample_length):
            tokens.append(next(steps))
            yield None
        yield self.from_tokens(torch.stack(tokens, dim=1))  # (count, T)


def _token_controls(controls: ConfigModel | None) -> ChoiceControls:
    if controls is None:
        return TokenControls()
    if not isinstance(controls, ChoiceControls):
        raise TypeError(f"{type(controls).__name__} are no ChoiceControls")
    return controls


def drawn(probabilities: Tensor, rng: torch.Generator) -> Tensor:
    """Draw one token for each row of ``(B, vocabulary)``, as int64 ``(B, 1)``.

    Takes the first of exponential arrivals with these rates, to the bit as ``torch.multinomial``
    does; but that also checks its input, which makes the host wait for the device.
    """
    arrivals = torch.empty_like(probabilities).exponential_(generator=rng)
    return (probabilities / arrivals).argmax(1, keepdim=True)


def filtered(logits: Tensor, sampling: ChoiceControls, seen: Tensor | None = None) -> Tensor:
    """Return logits with what sampling excludes at -inf.

    Repetition penalty: Keskar et al. 2019, "CTRL", section 4.1. Then the temperature, the top k,
    and of what is left the smallest set with probability p (Holtzman et al. 2020, nucleus).

    Args:
        logits: float32 ``(B, vocabulary)``.
        sampling: the settings to apply.
        seen: bool ``(B, vocabulary)``, the tokens already in the sequence; needed only for the
            penalty.
    """
    if seen is not None and isinstance(sampling, TokenControls):
        penalty = sampling.repetition_penalty
        changed = torch.where(logits > 0, logits / penalty, logits * penalty)
        logits = torch.where(seen, changed, logits)
    if sampling.temperature != 1:
        logits = logits / sampling.temperature
    if sampling.top_k is not None and sampling.top_k < logits.shape[1]:
        # by index, not by value: at most k stay even if logits are equal
        best, places = logits.topk(sampling.top_k, dim=1)  # (B, k) each
        logits = torch.full_like(logits, -torch.inf).scatter_(1, places, best)
    if sampling.top_p < 1:
        ordered, order = logits.sort(dim=1, descending=True)
        probabilities = ordered.softmax(1)
        before = probabilities.cumsum(1) - probabilities  # of the more probable ones
        ordered = ordered.masked_fill(before >= sampling.top_p, -torch.inf)
        logits = torch.empty_like(logits).scatter_(1, order, ordered)
    return logits

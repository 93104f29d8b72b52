"""Maximum likelihood of the next token: one phase, for text, waveforms and any other sequence."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from aigc_core.interfaces.autoregressive import AutoregressiveGenerator
from aigc_core.interfaces.trainer import Batch, Phase, StepState, Trainer
from aigc_core.trainers.config import AutoregressiveConfig


class AutoregressiveTrainer(Trainer):
    """Minimises -E log p(token | the tokens before it), in nats per token."""

    def __init__(self, generator: AutoregressiveGenerator, config: AutoregressiveConfig) -> None:
        self._generator = generator
        self._config = config

    def networks(self) -> Mapping[str, nn.Module]:
        return {"generator": self._generator}

    def generator(self) -> AutoregressiveGenerator:
        return self._generator

    def phases(self) -> Sequence[Phase]:
        config = self._config
        return [
            Phase(
                "likelihood", ("generator",), self._loss, config.optimizer, privacy=config.privacy
            )
        ]

    def validation(self) -> Callable[[Batch, StepState], Mapping[str, Tensor]]:
        return self._validate

    def _nats(self, batch: Batch, smoothing: float = 0.0) -> Tensor:
        tokens = self._generator.to_tokens(batch["samples"])  # (B, T)
        if self._generator.learns_start:
            tokens = pad(tokens, (1, 0), value=self._generator.start_token)
        labels = batch["labels"] if self._generator.label_count else None
        logits = self._generator(tokens[:, :-1], labels)  # (B, T - 1, V)
        return cross_entropy(
            logits.flatten(0, 1).float(), tokens[:, 1:].flatten(), label_smoothing=smoothing
        )

    def _loss(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        return {"cross_entropy": self._nats(batch, self._config.label_smoothing)}

    def _validate(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        nats = self._nats(batch)
        return {"loss": nats, "bits_per_token": nats / math.log(2)}

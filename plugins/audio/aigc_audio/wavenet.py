"""WaveNet: van den Oord et al. 2016, "WaveNet: A Generative Model for Raw Audio".

Each sample is one of 256 mu-law levels by default, drawn given the earlier samples that causal
convolutions with growing dilations reach. Sampling caches what each layer will look back on, so
every sample costs the same, however many came before.

A convolution over two samples is a linear layer on both, side by side: with channels last, this is
the form that processors multiply fastest, and the same layer serves a whole clip or a single
sample. Likewise, one layer sums all skip connections, and an embedding replaces the first
convolution over one-hot levels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu

from aigc_audio import mulaw
from aigc_audio.mono import check_mono
from aigc_audio.wavenet_config import WaveNetConfig
from aigc_core import AutoregressiveGenerator, AutoregressiveTrainer, RecipeContext


@dataclass
class Cache:
    """What the layers look back on."""

    rings: list[Tensor]
    """``(d, B, W)`` per layer: its last d inputs, with that of sample t at t modulo d."""
    labels: list[Tensor | None]
    """``(B, 2 W)`` per layer: what the label adds."""
    position: int = 0
    """Samples so far."""


class WaveNet(AutoregressiveGenerator):
    """Levels ``(B, T)``, or ``start_token``, to logits ``(B, T, levels)`` of the next one."""

    sample_chunk = 8  # sample by sample, but a few clips cost little more than one

    def __init__(self, config: WaveNetConfig, length: int, classes: int = 0) -> None:
        super().__init__()
        width, skip_width = config.width, config.skip_width
        self.vocabulary_size = config.levels
        self.sample_length = length
        self.start_token = config.levels  # an extra token: clips may begin with any level
        self.learns_start = True
        self.label_count = classes
        self.dilations = [2**layer for layer in range(config.layers)] * config.stacks
        self.receptive_field = sum(self.dilations) + 1
        """Samples that a logit depends on."""
        depth = len(self.dilations)
        self.levels = nn.Embedding(config.levels + 1, width)
        self.gates = nn.ModuleList(nn.Linear(2 * width, 2 * width) for _ in range(depth))
        self.residuals = nn.ModuleList(nn.Linear(width, width) for _ in range(depth - 1))
        self.labels = nn.ModuleList(
            nn.Embedding(classes, 2 * width) for _ in range(depth if classes else 0)
        )
        self.skips = nn.Linear(depth * width, skip_width)  # the sum of all skip connections
        self.hidden = nn.Linear(skip_width, skip_width)
        self.logits = nn.Linear(skip_width, config.levels)

    def to_tokens(self, samples: Tensor) -> Tensor:
        """Map waveforms ``(B, 1, T)`` in [-1, 1] to levels ``(B, T)``."""
        return mulaw.encode(samples.squeeze(1), self.vocabulary_size)

    def from_tokens(self, tokens: Tensor) -> Tensor:
        """Map levels ``(B, T)`` to waveforms ``(B, 1, T)`` in [-1, 1]."""
        return mulaw.decode(tokens, self.vocabulary_size).unsqueeze(1)

    def forward(self, tokens: Tensor, condition: Tensor | None = None) -> Tensor:
        x = self.levels(tokens)  # (B, T) -> (B, T, W)
        length = x.shape[1]
        gated = []
        for layer, label in enumerate(self._label_parts(condition)):
            before = pad(x, (0, 0, self.dilations[layer], 0))[:, :length]
            both = self.gates[layer](torch.cat((before, x), 2))  # (B, T, 2 W)
            if label is not None:
                both = both + label[:, None]
            gated.append(_gated(both))
            if layer < len(self.residuals):
                x = x + self.residuals[layer](gated[-1])
        return self._logits(torch.cat(gated, 2))

    def new_cache(self, batch: int, condition: Tensor | None = None) -> Cache:
        weight = self.levels.weight  # for its type and device
        return Cache(
            rings=[weight.new_zeros(d, batch, weight.shape[1]) for d in self.dilations],
            labels=self._label_parts(condition),
        )

    def next_logits(self, tokens: Tensor, cache: Cache) -> Tensor:
        """Append levels ``(B, n)`` and return the logits ``(B, levels)`` after them.

        Levels are processed one by one, even a prompt's: O(1) work and memory for each. Layers'
        ``forward`` is called directly: with one sample at a time, call overhead dominates.
        """
        gates, residuals = list(self.gates), list(self.residuals)
        gated: list[Tensor] = []
        for column in tokens.unbind(1):
            x = self.levels(column)  # (B,) -> (B, W)
            gated = []
            for layer, label in enumerate(cache.labels):
                ring = cache.rings[layer]
                place = ring[cache.position % len(ring)]  # the input len(ring) samples before
                both = gates[layer].forward(torch.cat((place, x), 1))  # (B, 2 W)
                if label is not None:
                    both = both + label
                place.copy_(x)
                gated.append(_gated(both))
                if layer < len(residuals):
                    x = x + residuals[layer].forward(gated[-1])
            cache.position += 1
        return self._logits(torch.cat(gated, 1))

    def _label_parts(self, condition: Tensor | None) -> list[Tensor | None]:
        """Return for each layer what the label adds to its gated unit, ``(B, 2 W)``: equation 3."""
        if not self.label_count:
            return [None] * len(self.dilations)
        return [embedding(condition) for embedding in self.labels]

    def _logits(self, gated: Tensor) -> Tensor:
        """Map all layers' gated units ``(…, layers * W)`` to logits ``(…, levels)``."""
        logits: Tensor = self.logits(relu(self.hidden(relu(self.skips(gated)))))
        return logits


def _gated(both: Tensor) -> Tensor:
    """Return tanh(signal) times sigmoid(gate), ``(…, W)`` of ``(…, 2 W)``: equation 2."""
    signal, gate = both.chunk(2, dim=-1)
    return signal.tanh() * gate.sigmoid()


def build(context: RecipeContext) -> AutoregressiveTrainer:
    """Make the trainer for mono clips."""
    length = check_mono("audio/wavenet", context.sample_shape)
    classes = context.classes_if(context.model.conditional)
    return AutoregressiveTrainer(WaveNet(context.model, length, classes), context.trainer)

"""A training algorithm, as networks and the phases that update them.

A trainer knows no device, precision, loop or checkpoint: the engine owns those. A GAN is two
phases, a VAE or a language model is one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from aigc_core.interfaces.config import OptimizerConfig, PrivacyConfig
from aigc_core.interfaces.generator import Generator, LatentGenerator

Batch = Mapping[str, Tensor]
"""Named tensors of equal length: ``samples`` in the model's form, ``labels``, …"""


@dataclass
class StepState:
    """What a phase may use besides its batch."""

    step: int
    """Steps completed before this one."""
    repeat: int
    """Index of this repeat of the phase, from 0."""
    parts: int
    """Parts that this process takes one after the other (``engine.accumulate``); this loss sees
    one of them."""
    rng: torch.Generator
    """The step's random generator, on the engine's device; depends only on seed and step, and
    where a batch is split also on the part."""
    scratch: dict[str, Any]
    """Shared by the phases of one step that see the same batch; empty at the step's start."""
    _log: Callable[[str, Tensor], None] = field(repr=False)
    total_steps: int = 1
    """Steps that the training will have had at its end, if nothing ends it before."""
    epoch: float = 0.0
    """Passes over the data before this step."""
    training: bool = True
    """False in a validation."""
    _stop: Callable[[str], None] = field(default=lambda reason: None, repr=False)
    part: int = 0
    """Which part of the batch this loss sees, counted over all processes."""
    all_parts: int = 1
    """Parts that the batch is split into, in all processes together."""
    rows: int = 0
    """Samples of this part; 0 where there is only one."""
    whole_rng: torch.Generator | None = None
    """Where a batch is split, a generator that is the same for all parts; ``randn``, ``rand`` and
    ``latents`` draw from it for the whole batch."""

    def randn(self, *shape: int) -> Tensor:
        """Draw float32 standard normal numbers of this shape on the engine's device.

        Where a batch is split, the numbers are those that the undivided batch would get: the first
        dimension that is as long as the part is drawn for all parts, and this part's rows are
        returned. Without such a dimension, all parts get the same numbers.
        """
        return self._own(torch.randn, shape)

    def rand(self, *shape: int) -> Tensor:
        """Draw float32 numbers uniform in [0, 1), as ``randn`` does."""
        return self._own(torch.rand, shape)

    def latents(self, generator: LatentGenerator, count: int) -> Tensor:
        """Draw ``(count, *latent_shape)`` latents of a generator, one for each row of the part."""
        if self.whole_rng is None or count != self.rows:
            return generator.sample_latents(count, rng=self.rng)
        every = generator.sample_latents(count * self.all_parts, rng=self.whole_rng)
        return every.narrow(0, self.part * count, count).clone()

    def _own(self, draw: Callable[..., Tensor], shape: Sequence[int]) -> Tensor:
        rng = self.whole_rng or self.rng
        if self.all_parts == 1 or self.rows not in shape:
            return draw(shape, generator=rng, device=rng.device)
        dim, whole = shape.index(self.rows), list(shape)
        whole[dim] *= self.all_parts
        every = draw(whole, generator=rng, device=rng.device)
        # A copy, so that what the other parts got is freed
        return every.narrow(dim, self.part * self.rows, self.rows).clone()

    def log(self, name: str, value: Tensor) -> None:
        """Log a scalar beside the losses, such as ``logits/real``.

        The value stays on the device; observers see its mean over the log interval.
        """
        self._log(name, value)

    def request_stop(self, reason: str) -> None:
        """End the training after this step, with a checkpoint, as a reached standard would.

        Args:
            reason: as in ``"epsilon 8.0 is spent"``; users read it. What it depends on should be
                known on the host: reading a number back from a GPU in every step is slow.
        """
        self._stop(reason)


@dataclass(frozen=True)
class Phase:
    """One optimiser's turn within a step.

    Only the parameters of the networks in ``updates`` receive gradients, whatever the loss reaches;
    all others are frozen while the phase runs. With ``repeats``, repeat *r* of every phase sees
    the step's batch *r*, so phases can share what they computed for it.
    """

    name: str
    """Unique within the trainer; names the phase's metrics, such as ``loss/generator``."""
    updates: tuple[str, ...]
    """Names of the networks it trains, as in ``Trainer.networks``."""
    loss: Callable[[Batch, StepState], Mapping[str, Tensor] | Tensor]
    """Returns a scalar mean over the batch, or several by name, which the engine sums."""
    optimizer: OptimizerConfig
    every: int = 1
    """Run on steps 0, every, 2·every, …"""
    active: Callable[[int], bool] | None = None
    """Whether it runs on a step, by its number, if ``every`` allows it: to start late, to stop
    early. None for always. A pure function, so that a resumed run is the same."""
    privacy: PrivacyConfig | None = None
    """Learn from the data with differential privacy; None for the ordinary way. The loss is then
    computed for one sample at a time, and all other phases get no data: zeros, and labels drawn
    at random."""
    repeats: int = 1
    """Optimiser updates per step, each on its own batch (``n_critic`` of a Wasserstein GAN)."""


class Trainer(ABC):
    """One training algorithm."""

    @abstractmethod
    def networks(self) -> Mapping[str, nn.Module]:
        """Return everything whose weights are saved, by name: no dots or slashes, not ``ema``."""

    @abstractmethod
    def phases(self) -> Sequence[Phase]:
        """Return the phases of a step, in order. Called once."""

    @abstractmethod
    def generator(self) -> Generator:
        """Return the network that samples are drawn from; the engine swaps in its EMA copy."""

    def frozen(self) -> Collection[str] | None:
        """Return the names of networks that are used but never trained, such as a teacher.

        They stay in evaluation mode, without gradients, their running statistics unchanged. None,
        the default, means all networks that no phase updates.
        """
        return None

    def state(self) -> nn.Module | None:
        """Return what must be remembered besides networks, as the buffers of a module, or None.

        Such as an augmentation's probability, or running statistics. The engine moves it to its
        device, saves and restores it as ``state.<buffer>``, and undoes what a skipped update
        changed. It is never averaged. Called often: return the same module each time.
        """
        return None

    def after_step(self, state: StepState) -> None:  # noqa: B027 (most need none)
        """Called after the phases of each step, without gradients: to move a target network, say.

        It must not make the host wait for the device.
        """

    def validation(self) -> Callable[[Batch, StepState], Mapping[str, Tensor]] | None:
        """Return the function that measures held-out data, or None if there is nothing to measure.

        It returns named scalar means over the batch. If present, ``loss`` by default picks the
        best checkpoint; lower is better. It is called without gradients, in evaluation mode.
        """
        return None

    @property
    def higher_is_better(self) -> Collection[str]:
        """Names of the validation measures that are better when higher, such as an accuracy.

        All others are better when lower. This decides which checkpoint of a run is the best.
        """
        return ()


@runtime_checkable
class Reconstructs(Protocol):
    """A trainer that can reconstruct a sample from its networks' encoding of it."""

    def reconstruct(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return the reconstructions of samples ``(B, *sample_shape)``, of the same shape."""

"""The networks that produce samples, and what they can be asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from aigc_core.interfaces.config import ConfigModel, NoControls


@dataclass(frozen=True)
class Condition:
    """Something that a generator can be given: a value of one of the data's columns."""

    column: str
    """``labels``, ``samples``, or another column of the data. If the generator also makes it, it
    leaves what it is given as it is, or continues it."""
    required: bool = False
    """Whether nothing can be drawn without it. A class that is not given is each in turn."""
    continued: bool = True
    """Of ``samples``: whether the value is the beginning of a sample, which the generator
    continues, and not a sample as a whole."""

    gaps: bool = False
    """Whether tokens of the value may be missing, which the generator fills in: they are -1. In a
    text, ``_`` stands for one, and ``\\_`` for itself; what follows its end is missing, too."""

    @property
    def is_beginning(self) -> bool:
        """Whether the value is the beginning of a sample."""
        return self.column == "samples" and self.continued


class Generator(nn.Module, ABC):
    """A network that can produce samples.

    ``sample_chunk`` is how many samples are always computed together. A network's results can
    differ in the last bit between batch sizes; with a fixed size, sample *i* of a seed is the same
    bytes however many are asked for. Choose it by cost: many for a network that samples in one
    pass, one for a network that samples step by step.
    """

    sample_chunk: ClassVar[int] = 64
    label_count: int = 0
    """How many classes a sample can be asked for; 0 for a generator that knows none."""
    controls: ClassVar[type[ConfigModel]] = NoControls
    """How samples can be drawn: settings with defaults, ranges and descriptions."""
    outputs: tuple[str, ...] = ("samples",)
    """Columns of the data that it makes, the main one first; all have a modality."""

    @property
    def conditions(self) -> Mapping[str, Condition]:
        """What a sample can be asked for, by name; here ``label``, with a ``label_count``."""
        return {"label": Condition("labels")} if self.label_count else {}

    @abstractmethod
    def sample(
        self,
        count: int,
        *,
        rng: torch.Generator,
        conditions: Mapping[str, Tensor],
        controls: ConfigModel,
    ) -> Tensor | Mapping[str, Tensor]:
        """Draw ``count`` samples.

        Args:
            count: how many; at least 1.
            rng: the only source of randomness, on the network's device.
            conditions: by their names, those that were given, each ``(count, ...)`` on the
                network's device: labels as int64, others in their column's model form. ``label``
                is always there, if the generator knows classes.
            controls: an instance of the network's own ``controls``.

        Returns:
            ``(count, *sample_shape)`` in the model's range; with several ``outputs``, such tensors
            by their names, row by row of one sample. The engine calls it in evaluation mode and
            without gradients.
        """


class LatentGenerator(Generator):
    """A generator that maps latents to samples in one pass: the generator of a GAN or a VAE.

    Subclasses set ``latent_shape`` and implement ``forward``. One that works in a form other than
    the model's, such as on spectrograms of waveforms, also implements ``represent`` and
    ``restore``: trainers compare samples in that form, and drawn samples are restored from it.
    """

    latent_shape: tuple[int, ...]

    @abstractmethod
    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        """Map latents ``(B, *latent_shape)`` to samples ``(B, *sample_shape)``, as represented.

        ``condition`` holds int64 labels ``(B,)``, or is None if the generator knows no classes.
        """

    def represent(self, samples: Tensor) -> Tensor:
        """Map samples ``(B, *sample_shape)`` to the form of ``forward``; by default the same."""
        return samples

    def restore(self, represented: Tensor) -> Tensor:
        """Map outputs of ``forward`` to samples ``(B, *sample_shape)``; by default the same.

        Called without gradients; the same input must give the same samples.
        """
        return represented

    def sample_latents(self, count: int, *, rng: torch.Generator) -> Tensor:
        """Draw ``(count, *latent_shape)`` float32 latents from a standard normal."""
        return torch.randn((count, *self.latent_shape), generator=rng, device=rng.device)

    def sample(
        self,
        count: int,
        *,
        rng: torch.Generator,
        conditions: Mapping[str, Tensor] | None = None,
        controls: ConfigModel | None = None,
    ) -> Tensor:
        latents = self.sample_latents(count, rng=rng)
        return self.restore(self(latents, (conditions or {}).get("label")))

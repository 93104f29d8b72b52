"""Draws samples from a generator directly, and says what shape they should have."""

from __future__ import annotations

import torch
from torch import Tensor

from aigc_core.interfaces import Generator, Modality


def draw(generator: Generator, count: int, *, rng: torch.Generator) -> Tensor:
    """Call ``generator.sample``; one that knows classes is asked for each in turn."""
    classes = getattr(generator, "label_count", 0)
    conditions = {"label": torch.arange(count) % classes} if classes else {}
    controls = generator.controls()
    return generator.sample(count, rng=rng, conditions=conditions, controls=controls)


def generated_shape(samples: object, generator: Generator, modality: Modality) -> tuple[int, ...]:
    """Return the shape that each of a generator's samples should have.

    A generator with a ``sample_length`` may return sequences of that length, whatever the length
    of those in the data.
    """
    shape = modality.sample_shape
    length = getattr(generator, "sample_length", None)
    if length is None or (isinstance(samples, Tensor) and tuple(samples.shape[1:]) == shape):
        return shape
    return (length, *shape[1:])

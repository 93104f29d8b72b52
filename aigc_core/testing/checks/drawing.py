"""Draws samples from a generator directly, and says what shape they should have."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from aigc_core.engine import by_output
from aigc_core.interfaces import Generator, Modality
from aigc_core.testing.recipe_subject import RecipeSubject


def draw(
    recipe: RecipeSubject, generator: Generator, count: int, *, rng: torch.Generator
) -> dict[str, Tensor]:
    """Call ``generator.sample`` with what the recipe's data would ask for; return it by output."""
    given = recipe.conditions(generator, count)
    drawn = generator.sample(count, rng=rng, conditions=given, controls=generator.controls())
    if len(generator.outputs) == 1 and not isinstance(drawn, Mapping):
        return {generator.outputs[0]: drawn}  # whatever it is: checks say what is wrong with it
    return by_output(generator, drawn)


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

"""What a recipe's build function is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RecipeContext:
    """Everything a recipe needs to make its trainer; networks are built on the CPU."""

    model: Any
    """The validated ``model.*``: an instance of the recipe's own model configuration class."""
    trainer: Any
    """The validated ``trainer.*``: an instance of the recipe's trainer configuration class."""
    sample_shape: tuple[int, ...]
    """Shape of one sample as a network sees it (``Modality.sample_shape``)."""
    label_count: int
    """How many classes the data has; 0 without labels."""

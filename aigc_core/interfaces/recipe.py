"""What a recipe's build function receives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aigc_core.errors import ConfigError
from aigc_core.interfaces.sample import SampleSpec


@dataclass(frozen=True)
class RecipeContext:
    """Everything a recipe needs to make its trainer; networks are built on the CPU."""

    model: Any
    """The validated ``model.*``: an instance of the recipe's own model configuration class."""
    trainer: Any
    """The validated ``trainer.*``: an instance of the recipe's trainer configuration class."""
    sample_shape: tuple[int, ...]
    """Shape of one sample as a network sees it (``Modality.sample_shape``)."""
    spec: SampleSpec
    """Facts of the stored samples, such as ``units["sample_rate_hz"]``."""
    label_count: int
    """How many classes the data has; 0 without labels."""

    def classes_if(self, conditional: bool) -> int:
        """Return how many classes the networks are conditioned on; 0 if not ``conditional``.

        Raises:
            ConfigError: ``conditional`` is true and the data has no labels.
        """
        if conditional and not self.label_count:
            raise ConfigError(
                "model.conditional needs data with labels, and this dataset has none. Choose "
                "another --dataset, or sort a folder's files into sub-folders, one for each class."
            )
        return self.label_count if conditional else 0

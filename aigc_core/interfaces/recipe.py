"""What a recipe's build function receives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aigc_core.errors import ConfigError
from aigc_core.interfaces.sample import SampleSpec

if TYPE_CHECKING:  # a plugin's entry module may import this one, and torch takes seconds
    from torch import nn

    from aigc_core.interfaces.generator import Generator
    from aigc_core.interfaces.modality import Modality


class MissingColumnError(ConfigError):
    """A recipe needs a column that the data does not have."""

    def __init__(self, message: str, column: str) -> None:
        super().__init__(message)
        self.column = column


@dataclass(frozen=True)
class RunFacts:
    """What a recipe may know of the run that its networks are for."""

    total_steps: int
    """Steps that the training will have had at its end, if nothing ends it before."""
    batch_size: int
    """Samples per optimiser update."""
    accumulate: int
    """Parts that a batch is split into."""
    samples: int
    """Number of samples that are trained on."""
    training: bool
    """Whether networks are built to be trained, or only to draw from."""


@dataclass(frozen=True)
class Parent:
    """A trained run that a recipe builds on, on the CPU, in evaluation mode, without gradients.

    Hold its networks in ``aigc_core.networks.Frozen``, so that they are not saved with one's own.
    """

    recipe: str
    networks: Mapping[str, nn.Module]
    """All of its trainer's, by their names."""
    generator: Generator
    """With averaged weights, if there are any."""
    model: Any
    """Its validated ``model.*``."""
    modality: Modality
    """Of its samples."""
    label_names: tuple[str, ...]
    """Of its data's classes."""


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

    columns: Mapping[str, Modality] = field(default_factory=dict)
    """The modality of every further column of the data, by name."""
    run: RunFacts = RunFacts(total_steps=1, batch_size=1, accumulate=1, samples=1, training=True)
    """Facts of the run."""
    parents: Mapping[str, Parent] = field(default_factory=dict)
    """Runs that were given with ``--parent``, by the names in ``RecipeSpec.parents``."""
    modality: Modality | None = None
    """The modality of the samples; None only where a context is made by hand."""

    def column(self, name: str, why: str) -> Modality:
        """Return the modality of a column that the networks need.

        Args:
            name: of the column.
            why: the setting that needs it, such as ``"model.condition=text"``.

        Raises:
            MissingColumnError: the data has no such column.
        """
        if name not in self.columns:
            has = ["samples", *(["labels"] if self.label_count else []), *self.columns]
            raise MissingColumnError(
                f"{why} needs a column '{name}', and this dataset has: {', '.join(has)}.", name
            )
        return self.columns[name]

    def classes_if(self, conditional: bool, why: str = "model.conditional") -> int:
        """Return how many classes the networks are conditioned on; 0 if not ``conditional``.

        Args:
            conditional: whether they should be.
            why: the setting that says so.

        Raises:
            ConfigError: ``conditional`` is true and the data has no labels.
        """
        if conditional and not self.label_count:
            raise ConfigError(
                f"{why} needs data with labels, and this dataset has none. Choose another "
                "--dataset, or sort a folder's files into sub-folders, one for each class."
            )
        return self.label_count if conditional else 0

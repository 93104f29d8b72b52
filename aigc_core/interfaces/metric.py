"""A comparison of generated samples with real ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor

from aigc_core.interfaces.modality import Modality


class Metric(ABC):
    """Measures how close generated samples are to real ones."""

    @abstractmethod
    def compare(self, real: Tensor, generated: Tensor, modality: Modality) -> Mapping[str, float]:
        """Compare two sets of samples.

        Args:
            real: stored samples ``(N, *spec.shape)`` of the data, on the CPU.
            generated: equally many stored samples from the generator.
            modality: maps them to the model's form, if that should be compared.

        Returns:
            One or more values by name, such as ``{"distance": 0.1}``. Raise ``ConfigError`` for
            sets that are too small to say anything.
        """

"""The sliced Wasserstein distance: needs no network and no features, so it fits any content.

Rabin et al. 2012, "Wasserstein Barycenter and Its Application to Texture Mixing". It sees how
values are distributed along random directions: a sanity check that knows nothing of meaning.
Distances are comparable only for the same data, count and seed.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from aigc_core.errors import ConfigError
from aigc_core.interfaces import Metric, Modality

_CHUNK = 64  # directions at once: bounds the memory


def sliced_wasserstein(
    first: Tensor, second: Tensor, *, directions: int = 512, seed: int = 0
) -> float:
    """Return the distance between two sets of equally many points.

    It is the square root of the mean, over random directions, of the squared 2-Wasserstein distance
    between the projections; on a line, that is the mean squared difference of the sorted values.

    Args:
        first: ``(N, ...)``; flattened and computed in float32.
        second: ``(N, ...)``.
        directions: how many directions, uniform on the sphere.
        seed: seeds the directions.
    """
    first, second = first.flatten(1).float(), second.flatten(1).float()  # (N, ...) -> (N, D)
    rng = torch.Generator().manual_seed(seed)
    total = 0.0
    for start in range(0, directions, _CHUNK):
        count = min(_CHUNK, directions - start)
        axes = torch.randn((first.shape[1], count), generator=rng)
        axes /= axes.norm(dim=0)
        ordered = [(points @ axes).sort(dim=0).values for points in (first, second)]  # (N, count)
        total += (ordered[0] - ordered[1]).square().mean(dim=0).sum(dtype=torch.float64).item()
    return float((total / directions) ** 0.5)


class SlicedWasserstein(Metric):
    """The distance, and for comparison that between two halves of the real samples.

    A perfect generator scores about the latter, or a little below, since the halves are smaller.
    The halves are drawn at random: real samples often come sorted, for example by class.
    """

    def compare(self, real: Tensor, generated: Tensor, modality: Modality) -> Mapping[str, float]:
        half = len(real) // 2
        if half < 2:
            raise ConfigError(f"sliced-wasserstein needs at least 4 samples, not {len(real)}.")
        real, generated = modality.to_model(real), modality.to_model(generated)
        order = torch.randperm(len(real), generator=torch.Generator().manual_seed(0))
        halves = real[order[:half]], real[order[half : 2 * half]]
        return {
            "distance": sliced_wasserstein(real, generated),
            "between_real_halves": sliced_wasserstein(*halves),
        }

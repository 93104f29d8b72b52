"""How near generated clouds come to real ones, as sets: whatever the order of points."""

from collections.abc import Mapping

import torch
from torch import Tensor

from aigc_core import ConfigError, Metric, Modality
from aigc_pointclouds.geometry import chamfer_distances

POINTS = 256
"""How many points of a cloud are compared, at most."""


class CloudDistance(Metric):
    """Minimum matching distance, coverage and nearest-neighbour accuracy by Chamfer distances.

    Achlioptas et al. 2018, "Learning Representations and Generative Models for 3D Point Clouds",
    section 2; the accuracy is that of Yang et al. 2019, "PointFlow", section 6.1. Of each cloud at
    most ``POINTS`` points are compared, chosen at random. The time grows with the square of the
    number of samples.
    """

    def compare(self, real: Tensor, generated: Tensor, modality: Modality) -> Mapping[str, float]:
        if len(real) < 2:
            raise ConfigError("cloud-distance needs at least 2 samples.")
        return compared(_some(modality.to_model(real)), _some(modality.to_model(generated)))


def compared(real: Tensor, generated: Tensor) -> dict[str, float]:
    """Compare two sets of clouds, float32 ``(A, N, 3)`` and ``(B, M, 3)``.

    Returns:
        ``minimum_matching_distance``: Chamfer distance of a real cloud to the nearest generated
        one, the mean of all. ``coverage``: share of real clouds that are the nearest to some
        generated cloud. ``nearest_neighbour_accuracy``: share of all clouds whose nearest other one
        is of their own kind; 0.5 if the kinds cannot be told apart, 1 if they never meet.
    """
    across = chamfer_distances(real, generated)  # (A, B)
    among_real, among_generated = _others(real), _others(generated)
    own = [among_real.amin(1) < across.amin(1), among_generated.amin(1) < across.amin(0)]
    return {
        "minimum_matching_distance": across.amin(1).mean().item(),
        "coverage": len(set(across.argmin(0).tolist())) / len(real),
        "nearest_neighbour_accuracy": torch.cat(own).double().mean().item(),
    }


def _some(clouds: Tensor) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    return clouds[:, torch.randperm(clouds.shape[1], generator=rng)[:POINTS]]


def _others(clouds: Tensor) -> Tensor:
    """Return distances of each cloud to each other one, and infinity to itself."""
    return chamfer_distances(clouds, clouds).fill_diagonal_(torch.inf)

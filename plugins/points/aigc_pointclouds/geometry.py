"""What is done to clouds of points, many at once."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

RADIUS = 1.0
"""Distance of a cloud's farthest point from the origin, in the datasets of this plugin."""

_CHUNK = 1 << 18  # distances at a time: they stay in the processor's cache


def into_unit_ball(points: NDArray[np.float64]) -> NDArray[np.float32]:
    """Move and scale clouds so that their mean is the origin and their farthest point at 1.

    As is usual since Qi et al. 2017 (PointNet).

    Args:
        points: ``(..., N, 3)``, finite; those of a cloud are not all the same.

    Returns:
        float32, of the same shape.
    """
    centred = points - points.mean(axis=-2, keepdims=True)
    distances = np.sqrt((centred**2).sum(axis=-1))  # (..., N)
    farthest = distances.max(axis=-1)[..., None, None]
    scaled: NDArray[np.float32] = (centred * (RADIUS / farthest)).astype(np.float32)
    return scaled


def chamfer_distances(first: Tensor, second: Tensor) -> Tensor:
    """Return the Chamfer distance of each cloud of one set to each of another, ``(A, B)``.

    The mean, over the points of a cloud, of the squared distance to the nearest point of the other;
    of both directions the sum (Achlioptas et al. 2018, "Learning Representations and Generative
    Models for 3D Point Clouds", section 2, with means for sums).

    Args:
        first: float32 ``(A, N, 3)``.
        second: float32 ``(B, M, 3)``.
    """
    # |x - y|² = |x|² - 2 x y + |y|², as one product of (x, |x|², 1) and (-2 y, 1, |y|²)
    asking = torch.cat([first, _squares(first), torch.ones_like(first[..., :1])], dim=2)
    asked = torch.cat([-2 * second, torch.ones_like(second[..., :1]), _squares(second)], dim=2)
    chunk = max(1, _CHUNK // (first.shape[1] * second.shape[1]))
    found = torch.empty(len(first), len(second))
    for start in range(0, len(second), chunk):
        some = asked[start : start + chunk]  # (C, M, 5)
        points = some.flatten(0, 1).T.contiguous()  # (5, C M)
        for row, cloud in enumerate(asking):
            apart = (cloud @ points).view(len(cloud), *some.shape[:2])  # (N, 5) -> (N, C, M)
            there, back = apart.amin(2).clamp(min=0), apart.amin(0).clamp(min=0)
            found[row, start : start + chunk] = there.mean(0) + back.mean(1)
    return found


def _squares(points: Tensor) -> Tensor:
    return points.square().sum(2, keepdim=True)

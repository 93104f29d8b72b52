"""Solids drawn by code: labelled clouds that need neither network nor files."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from aigc_core import Dataset, SampleStore
from aigc_core.datasets import check_split
from aigc_pointclouds.datasets._spec import cloud_spec
from aigc_pointclouds.geometry import into_unit_ball
from aigc_pointclouds.options import SolidsOptions

Float = NDArray[np.float64]

_SEEDS = {"train": 1, "test": 2}
_TEST_SHARE = 5
_CHUNK = 256  # clouds at a time
_PROPORTIONS = 3
"""Random numbers of a solid's shape; one more turns it, and then there are four for each point."""


class Solids(Dataset):
    """Solids of eight classes, in random proportions, turned about the vertical axis, which is y.

    Points are uniform on the surface, by area. The seed of each split is fixed, and labels cycle
    through the classes.
    """

    options: SolidsOptions

    def prepare(self) -> None:
        """Do nothing: the clouds are computed."""

    def load(self, split: str) -> SampleStore:
        """Return ``samples`` float32 ``(B, N, 3)``, in the unit ball, and ``labels`` int64."""
        check_split("solids", split, _SEEDS)
        count = self.options.count if split == "train" else -(-self.options.count // _TEST_SHARE)
        labels = np.arange(count) % len(CLASSES)
        rng = np.random.default_rng(_SEEDS[split])
        clouds = np.empty((count, self.options.points, 3), np.float32)
        for start in range(0, count, _CHUNK):
            part = labels[start : start + _CHUNK]
            # One row of numbers for each solid, so that a solid does not depend on their count.
            chances = rng.random((len(part), 1 + _PROPORTIONS + 4 * self.options.points))
            clouds[start : start + _CHUNK] = into_unit_ball(surfaces(part, chances))
        return SampleStore(
            arrays={
                "samples": torch.from_numpy(clouds),
                "labels": torch.from_numpy(labels.astype(np.int64)),
            },
            spec=cloud_spec(self.options.points),
            label_names=tuple(CLASSES),
        )


def surfaces(labels: NDArray[np.int64], chances: Float) -> Float:
    """Return points on the surfaces of solids of these classes, ``(B, N, 3)``.

    Args:
        labels: ``(B,)``, indices into ``CLASSES``.
        chances: ``(B, 4 + 4 N)`` in [0, 1): the turn, three proportions, four of each point.
    """
    turns, proportions = chances[:, 0], chances[:, 1 : 1 + _PROPORTIONS]
    each = chances[:, 1 + _PROPORTIONS :].reshape(len(labels), -1, 4).transpose(2, 0, 1)
    points = np.empty((*each.shape[1:], 3))
    for label, draw in enumerate(CLASSES.values()):
        mine = labels == label
        points[mine] = draw(proportions[mine].T[..., None], each[:, mine])
    sine, cosine = np.sin(2 * np.pi * turns)[:, None], np.cos(2 * np.pi * turns)[:, None]
    x, y, z = points.transpose(2, 0, 1)
    return np.stack([cosine * x + sine * z, y, cosine * z - sine * x], axis=2)


def _between(low: float, high: float, chance: Float) -> Float:
    return low + (high - low) * chance


def _around(radius: Float, height: Float, chance: Float) -> Float:
    """Return ``(B, N, 3)`` at these distances from the vertical axis, at random angles."""
    angle = 2 * np.pi * chance
    return np.stack([radius * np.cos(angle), height, radius * np.sin(angle)], axis=2)


# Each of the following takes proportions ``(3, B, 1)`` and chances ``(4, B, N)``, all in [0, 1),
# and returns points ``(B, N, 3)``, uniform by area.


def _capsule(height: Float, chances: Float) -> Float:
    """A cylinder of radius 1 and this height, ``(B, 1)``, between two halves of a sphere.

    A zone of a sphere has the area of the cylinder around it (Archimedes), so the height of points
    is uniform from end to end.
    """
    level = (2 * chances[0] - 1) * (1 + height / 2)
    beyond = np.sign(level) * np.maximum(0, np.abs(level) - height / 2)  # height above the middle
    return _around(np.sqrt(1 - beyond**2), level, chances[1])


def _turned(profile: list[tuple[Float | float, Float | float]], chances: Float) -> Float:
    """Points on a polygonal line, radius and height of its corners, turned about the axis."""
    radii, heights = (np.stack(np.broadcast_arrays(*side)) for side in zip(*profile, strict=True))
    before, after = radii[:-1, :, None], radii[1:, :, None]  # (S, B, 1)
    low, high = heights[:-1, :, None], heights[1:, :, None]
    areas = (before + after) * np.hypot(after - before, high - low)
    segment = _choice(areas[..., 0].T, chances[0])  # (B, N)

    def of_segment(values: Float) -> Float:
        return np.take_along_axis(values[..., 0].T, segment, axis=1)

    r0, r1, y0, y1 = map(of_segment, (before, after, low, high))
    # Area grows with the square of the radius: r² is uniform. Written so that r0 = r1 is no
    # exception.
    radius = np.sqrt(r0**2 + chances[1] * (r1**2 - r0**2))
    along = chances[1] * (r0 + r1) / np.maximum(r0 + radius, 1e-12)
    return _around(radius, y0 + along * (y1 - y0), chances[2])


def _torus(tube: Float, chances: Float) -> Float:
    """A ring of radius 1, whose tube has this radius ``(B, 1)``."""
    # The density of the angle around the tube is proportional to 1 + tube * cos. An angle that is
    # not accepted is mirrored, where the density is what was missing.
    angle = 2 * np.pi * chances[0]
    angle = np.where(2 * chances[1] < 1 + tube * np.cos(angle), angle, np.pi - angle)
    return _around(1 + tube * np.cos(angle), tube * np.sin(angle), chances[2])


def _polyhedron(corners: Float, triangles: NDArray[np.int64], sizes: Float, each: Float) -> Float:
    """Points on triangles ``(F, 3)`` of corners ``(V, 3)``, stretched by sizes ``(3, B, 1)``."""
    stretched = corners * sizes[..., 0].T[:, None]  # (B, V, 3)
    faces = stretched[:, triangles]  # (B, F, 3, 3)
    origin, first, second = faces[:, :, 0], faces[:, :, 1], faces[:, :, 2]  # (B, F, 3) each
    first, second = first - origin, second - origin
    areas = np.sqrt((np.cross(first, second) ** 2).sum(axis=2))  # (B, F), doubled
    face = _choice(areas, each[0])[..., None]  # (B, N, 1)
    a, b = each[1], each[2]
    beyond = a + b > 1  # in the other half of the parallelogram
    a, b = np.where(beyond, 1 - a, a)[..., None], np.where(beyond, 1 - b, b)[..., None]
    pick = (np.take_along_axis(edges, face, axis=1) for edges in (origin, first, second))
    start, along, across = pick
    points: Float = start + a * along + b * across
    return points


def _choice(weights: Float, chances: Float) -> NDArray[np.int64]:
    """Return which of the weighted things ``(B, F)`` each chance ``(B, N)`` falls on."""
    ends = np.cumsum(weights, axis=1)[:, :-1] / weights.sum(axis=1, keepdims=True)
    found: NDArray[np.int64] = (chances[:, :, None] >= ends[:, None]).sum(axis=2)
    return found


def _quad(a: int, b: int, c: int, d: int) -> list[tuple[int, int, int]]:
    """Return the two triangles of a face with four corners, which are given in turn."""
    return [(a, b, c), (a, c, d)]


_BOX = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
_BOX_FACES = np.array(
    [*_quad(0, 1, 3, 2), *_quad(4, 5, 7, 6), *_quad(0, 1, 5, 4), *_quad(2, 3, 7, 6),
     *_quad(0, 2, 6, 4), *_quad(1, 3, 7, 5)]
)  # fmt: skip
_PYRAMID = np.array([(-1, 0, -1), (1, 0, -1), (1, 0, 1), (-1, 0, 1), (0, 1, 0)], float)
_PYRAMID_FACES = np.array([*_quad(0, 1, 2, 3), (0, 1, 4), (1, 2, 4), (2, 3, 4), (3, 0, 4)])
_ROOF = np.array(
    [(-1, 0, -1), (1, 0, -1), (1, 0, 1), (-1, 0, 1), (-1, 1, 0), (1, 1, 0)], float
)  # a prism that lies on one of its sides
_ROOF_FACES = np.array(
    [*_quad(0, 1, 2, 3), *_quad(0, 1, 5, 4), *_quad(3, 2, 5, 4), (0, 3, 4), (1, 2, 5)]
)


def _sphere(proportions: Float, chances: Float) -> Float:
    return _capsule(np.zeros_like(proportions[0]), chances)


def _pill(proportions: Float, chances: Float) -> Float:
    return _capsule(_between(1, 4, proportions[0]), chances)


def _cylinder(proportions: Float, chances: Float) -> Float:
    half = _between(0.3, 2, proportions[0])[:, 0]
    return _turned([(0 * half, -half), (1, -half), (1, half), (0, half)], chances)


def _cone(proportions: Float, chances: Float) -> Float:
    height = _between(1, 4, proportions[0])[:, 0]
    return _turned([(0 * height, 0), (1, 0), (0, height)], chances)


def _ring(proportions: Float, chances: Float) -> Float:
    return _torus(_between(0.15, 0.6, proportions[0]), chances)


def _box(proportions: Float, chances: Float) -> Float:
    return _polyhedron(_BOX, _BOX_FACES, _between(0.4, 1, proportions), chances)


def _pyramid(proportions: Float, chances: Float) -> Float:
    width, height = _between(0.6, 1, proportions[0]), _between(1, 2.5, proportions[1])
    depth = _between(0.6, 1, proportions[2])
    return _polyhedron(_PYRAMID, _PYRAMID_FACES, np.stack([width, height, depth]), chances)


def _roof(proportions: Float, chances: Float) -> Float:
    length, height = _between(0.8, 2, proportions[0]), _between(0.8, 1.8, proportions[1])
    depth = _between(0.6, 1, proportions[2])
    return _polyhedron(_ROOF, _ROOF_FACES, np.stack([length, height, depth]), chances)


CLASSES: dict[str, Callable[[Float, Float], Float]] = {
    "sphere": _sphere,
    "box": _box,
    "cylinder": _cylinder,
    "cone": _cone,
    "torus": _ring,
    "capsule": _pill,
    "pyramid": _pyramid,
    "prism": _roof,
}
"""Name of each class, and what draws it."""

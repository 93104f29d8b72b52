"""Solids are what their names say: points lie on the surface, and evenly."""

import numpy as np
import pytest
import torch

from aigc_core import DataFolders
from aigc_pointclouds.datasets.solids import CLASSES, Solids, surfaces
from aigc_pointclouds.options import SolidsOptions

POINTS = 4000


def solids(name: str, count: int = 6) -> np.ndarray:
    """Solids of a class, ``(count, POINTS, 3)``, as they are drawn, but not turned."""
    chances = np.random.default_rng(0).random((count, 4 + 4 * POINTS))
    chances[:, 0] = 0
    return surfaces(np.full(count, list(CLASSES).index(name)), chances)


def from_axis(points: np.ndarray) -> np.ndarray:
    return np.hypot(points[..., 0], points[..., 2])


def test_points_of_a_sphere_are_at_one_distance_and_evenly() -> None:
    points = solids("sphere")
    assert np.linalg.norm(points, axis=2) == pytest.approx(1)
    assert np.abs(points.mean((0, 1))).max() < 0.02
    assert (points**2).mean((0, 1)) == pytest.approx([1 / 3] * 3, abs=0.01)


def test_a_capsule_is_a_cylinder_between_two_halves_of_a_sphere() -> None:
    for points in solids("capsule"):
        half = points[:, 1].max() - 1  # of the cylinder; points come near the end
        beyond = np.maximum(0, np.abs(points[:, 1]) - half)
        assert np.hypot(from_axis(points), beyond) == pytest.approx(1, abs=0.02)
        on_cylinder = np.mean(np.abs(points[:, 1]) < half)
        assert on_cylinder == pytest.approx(2 * half / (2 * half + 2), abs=0.03)


def test_a_cylinder_has_a_side_and_two_ends_by_their_areas() -> None:
    for points in solids("cylinder"):
        half = np.abs(points[:, 1]).max()
        at_end = np.isclose(np.abs(points[:, 1]), half)
        assert from_axis(points[~at_end]) == pytest.approx(1)
        assert at_end.mean() == pytest.approx(1 / (1 + 2 * half), abs=0.03)
        # uniform on a disc: the mean distance from its middle is 2/3
        assert from_axis(points[at_end]).mean() == pytest.approx(2 / 3, abs=0.03)


def test_a_cone_narrows_to_its_tip() -> None:
    for points in solids("cone"):
        base = np.isclose(points[:, 1], 0)
        side = points[~base]
        slope = side[:, 1] / (1 - from_axis(side))  # its height
        assert slope == pytest.approx(slope[0])
        assert base.mean() == pytest.approx(1 / (1 + np.hypot(1, slope[0])), abs=0.03)
        assert (side[:, 1] / slope[0]).mean() == pytest.approx(1 / 3, abs=0.02)


def test_a_torus_has_a_tube_around_a_ring_and_more_points_outside() -> None:
    for points in solids("torus"):
        apart = np.hypot(from_axis(points) - 1, points[:, 1])  # from the ring in the tube
        tube = apart.mean()
        assert apart == pytest.approx(tube)
        outside = (from_axis(points) > 1).mean()
        assert outside == pytest.approx(0.5 + tube / np.pi, abs=0.03)


def faces_of(points: np.ndarray, planes: np.ndarray) -> np.ndarray:
    """Return which of the planes ``n x = 1``, ``(F, 3)``, each point is on; each is on one."""
    values = points @ planes.T
    assert values.max() == pytest.approx(1)  # none is beyond a plane
    assert np.isclose(values, 1).any(axis=1).all()
    return np.bincount(values.argmax(axis=1), minlength=len(planes))


def test_a_box_has_six_faces_by_their_areas() -> None:
    for points in solids("box"):
        sizes = np.abs(points).max(axis=0)
        planes = np.concatenate([np.diag(1 / sizes), np.diag(-1 / sizes)])
        counts = faces_of(points, planes)
        areas = np.tile(sizes.prod() / sizes, 2)
        assert counts / POINTS == pytest.approx(areas / areas.sum(), abs=0.03)


@pytest.mark.parametrize(
    ("name", "sizes", "lean"),
    [("pyramid", (0.6, 1.0, 0.6), 1.0), ("prism", (0.8, 0.8, 0.6), 0.0)],
)
def test_pyramids_and_prisms_have_flat_faces_by_their_areas(
    name: str, sizes: tuple[float, ...], lean: float
) -> None:
    """Of the least proportions, whose sizes are known; ``lean``: whether the ends lean inwards."""
    chances = np.random.default_rng(0).random((3, 4 + 4 * POINTS))
    chances[:, :4] = 0
    width, height, depth = sizes
    sides = [(0, 1 / height, 1 / depth), (0, 1 / height, -1 / depth)]  # z / depth + y / height = 1
    sides += [(1 / width, lean / height, 0), (-1 / width, lean / height, 0)]
    middle = np.array((0, height / 4, 0))
    planes = [np.array(side) / (1 - np.dot(side, middle)) for side in sides]
    planes.append(np.array((0, -4 / height, 0)))  # the base
    slant = np.hypot(height, depth)  # from the base to the ridge or the tip
    areas = {
        "pyramid": [width * slant] * 2 + [depth * np.hypot(height, width)] * 2,
        "prism": [2 * width * slant] * 2 + [depth * height] * 2,
    }[name]
    areas = np.array([*areas, 4 * width * depth])
    for points in surfaces(np.full(3, list(CLASSES).index(name)), chances):
        counts = faces_of(points - middle, np.array(planes))
        assert counts / POINTS == pytest.approx(areas / areas.sum(), abs=0.03)


def test_solids_are_turned_about_the_vertical_axis_alone() -> None:
    chances = np.random.default_rng(0).random((8, 4 + 4 * 50))
    there, turned = chances.copy(), chances.copy()
    there[:, 0], turned[:, 0] = 0, 0.25
    before, after = surfaces(np.arange(8), there), surfaces(np.arange(8), turned)
    np.testing.assert_allclose(after[..., 1], before[..., 1])
    np.testing.assert_allclose(after[..., 0], before[..., 2], atol=1e-12)
    np.testing.assert_allclose(after[..., 2], -before[..., 0], atol=1e-12)


def test_splits_are_in_the_unit_ball_and_the_same_each_time(no_root: DataFolders) -> None:
    dataset = Solids(SolidsOptions(points=100, count=300), no_root)
    dataset.prepare()
    train, test = dataset.load("train"), dataset.load("test")
    assert train.arrays["samples"].shape == (300, 100, 3)
    assert test.arrays["samples"].shape == (60, 100, 3)
    assert train.label_names == tuple(CLASSES)
    assert train.arrays["labels"].bincount(minlength=8).tolist() == [38] * 4 + [37] * 4
    for store in (train, test):
        assert store.spec.units == {"radius": 1.0}
        clouds = store.arrays["samples"]
        assert clouds.mean(1).abs().max() < 1e-6
        torch.testing.assert_close(clouds.norm(dim=2).amax(1), torch.ones(len(clouds)))
    again = Solids(SolidsOptions(points=100, count=20), no_root).load("train")
    assert torch.equal(again.arrays["samples"], train.arrays["samples"][:20])
    assert not torch.equal(test.arrays["samples"][:20], again.arrays["samples"])

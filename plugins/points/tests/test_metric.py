"""Distances of clouds, held against their definition."""

import pytest
import torch

from aigc_core import ConfigError
from aigc_pointclouds.datasets._spec import cloud_spec
from aigc_pointclouds.geometry import chamfer_distances
from aigc_pointclouds.metric import CloudDistance, compared
from aigc_pointclouds.modality import PointCloudModality


def test_the_chamfer_distance_is_that_to_the_nearest_points_both_ways() -> None:
    first, second = torch.randn(5, 30, 3), torch.randn(40, 20, 3)
    found = chamfer_distances(first, second)
    for a in range(5):
        for b in (0, 17, 39):
            apart = torch.cdist(first[a], second[b]).square()
            expected = apart.amin(1).mean() + apart.amin(0).mean()
            torch.testing.assert_close(found[a, b], expected)
    order = torch.randperm(30)
    torch.testing.assert_close(chamfer_distances(first[:, order], second), found)
    assert chamfer_distances(first, first).diagonal().max() < 1e-5


def test_copies_cover_everything_and_far_clouds_nothing_but_one() -> None:
    real = torch.randn(20, 50, 3)
    copied = compared(real, real + 1e-4)
    assert copied["minimum_matching_distance"] < 1e-5
    assert copied["coverage"] == 1
    assert copied["nearest_neighbour_accuracy"] == 0  # the nearest is always the copy
    far = compared(real, torch.randn(20, 50, 3) * 0.01 + 9)
    assert far["nearest_neighbour_accuracy"] == 1
    assert far["coverage"] < 0.3


def test_sets_of_one_kind_cannot_be_told_apart() -> None:
    both = torch.randn(400, 4, 3)
    found = compared(both[:200], both[200:])
    assert found["nearest_neighbour_accuracy"] == pytest.approx(0.5, abs=0.08)


def test_too_few_samples_are_refused() -> None:
    modality = PointCloudModality(cloud_spec(8))
    with pytest.raises(ConfigError, match="at least 2"):
        CloudDistance().compare(torch.rand(1, 8, 3), torch.rand(1, 8, 3), modality)

"""What the contract cannot know: that shapes are shapes, and what files and previews show."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from aigc_core import DataFolders, SampleSpec
from aigc_points.clouds import Points, Shapes
from aigc_points.gan import PointNet

POINTS = Points(SampleSpec(shape=(2, 3), dtype="int16"))


@pytest.fixture(scope="module")
def shapes() -> dict[str, torch.Tensor]:
    """Some clouds of each kind, ``(10, 512, 3)`` in [-1, 1]."""
    store = Shapes(None, DataFolders(root=None, cache=Path("unused"))).load("train")
    samples, labels = store.arrays["samples"], store.arrays["labels"]
    return {
        name: POINTS.to_model(samples[labels == kind][:10])
        for kind, name in enumerate(store.label_names)
    }


def test_a_sphere_is_an_ellipsoid(shapes: dict[str, torch.Tensor]) -> None:
    """All its points solve xᵀMx = 1 for one matrix M."""
    for cloud in shapes["sphere"]:
        products = (cloud[:, :, None] * cloud[:, None, :]).flatten(1)  # (N, 3) -> (N, 9)
        matrix = torch.linalg.pinv(products) @ torch.ones(len(cloud))
        assert (products @ matrix - 1).abs().max() < 0.01


def test_a_torus_has_a_hole_and_a_box_has_none(shapes: dict[str, torch.Tensor]) -> None:
    """Seen along its axis, the middle of the ring is empty."""
    middle = {name: clouds[..., :2].norm(dim=2).amin(1) for name, clouds in shapes.items()}
    assert (middle["torus"] > 0.15).all()
    assert (middle["box"] < 0.15).all()


def test_no_shape_is_cut_off_at_the_edge(shapes: dict[str, torch.Tensor]) -> None:
    assert all(clouds.abs().max() < 1 for clouds in shapes.values())


def test_a_ply_file_says_what_it_holds(tmp_path: Path) -> None:
    stored = torch.tensor([[[32767, 0, -32767], [0, 0, 0]]], dtype=torch.int16)
    (path,) = POINTS.save(stored, tmp_path, format="ply")
    lines = path.read_text().splitlines()
    assert lines[:3] == ["ply", "format ascii 1.0", "element vertex 2"]
    assert lines[7:] == ["1.00000 0.00000 -1.00000", "0.00000 0.00000 0.00000"]


def test_near_points_are_brighter_and_hide_far_ones(tmp_path: Path) -> None:
    towards_the_eye = torch.tensor([0.4, -0.73, 0.55]) * 0.9
    cloud = POINTS.to_stored(torch.stack([towards_the_eye, -towards_the_eye]))
    near_and_far, far = cloud[None], cloud[[1, 1]][None]
    brightness = [
        np.asarray(Image.open(POINTS.preview(stored, tmp_path / "preview"))).max()
        for stored in (near_and_far, far)
    ]
    assert brightness[0] > 200
    assert brightness[1] < 60


def test_the_discriminator_does_not_care_for_the_order_of_points() -> None:
    clouds = torch.rand(2, 50, 3)
    network = PointNet()
    torch.testing.assert_close(network(clouds), network(clouds[:, torch.randperm(50)]))

"""Files, previews and users' own shapes."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from aigc_core import ConfigError, DataError, SampleSpec
from aigc_pointclouds.datasets._spec import cloud_spec
from aigc_pointclouds.modality import PointCloudModality

CLOUDS = torch.randn(3, 200, 3, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)


def modality(points: int = 200) -> PointCloudModality:
    return PointCloudModality(cloud_spec(points))


@pytest.mark.parametrize("format", ["ply", "glb"])
def test_files_hold_every_point_in_its_place_and_others_open_them(
    tmp_path: Path, format: str
) -> None:
    paths = modality().save(CLOUDS, tmp_path, format=format, start=7)
    assert [path.name for path in paths] == [f"00000{n}.{format}" for n in (7, 8, 9)]
    for path, cloud in zip(paths, CLOUDS, strict=True):
        assert torch.equal(modality().read(path), cloud)
        opened = trimesh.load_scene(path).dump()[0]
        np.testing.assert_array_equal(np.asarray(opened.vertices, np.float32), cloud)


def test_a_generated_cloud_may_have_another_number_of_points(tmp_path: Path) -> None:
    (path,) = modality(50).save(CLOUDS[:1], tmp_path, format="ply")
    with pytest.raises(DataError, match="has 200 points, not 50"):
        modality(50).read(path)


def test_a_format_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be saved as 'plx'\. Did you mean 'ply'"):
        modality().save(CLOUDS, tmp_path, format="plx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("spec", "reported"),
    [
        (
            SampleSpec(shape=(5, 3), dtype="int16"),
            "stored as float32, and this dataset's are int16",
        ),
        (SampleSpec(shape=(5, 2), dtype="float32"), r"shape \(points, 3\)"),
        (SampleSpec(shape=(3,), dtype="float32"), r"shape \(points, 3\)"),
    ],
)
def test_what_is_no_cloud_is_refused(spec: SampleSpec, reported: str) -> None:
    with pytest.raises(DataError, match=reported):
        PointCloudModality(spec)


def test_a_mesh_of_the_user_s_is_drawn_and_scaled_as_the_data_was(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ball = trimesh.creation.icosphere(radius=70)
    ball.apply_translation((500, 0, 0))
    ball.export(tmp_path / "ball.stl")
    with caplog.at_level(logging.INFO, "aigc"):
        cloud = modality().adapt(tmp_path / "ball.stl")
    assert caplog.messages == [
        "ball.stl: a mesh of 1,280 faces became 200 points, moved to the middle and scaled to a "
        "radius of 1."
    ]
    assert (cloud.shape, cloud.dtype) == ((200, 3), torch.float32)
    assert float(cloud.norm(dim=1).max()) == pytest.approx(1)
    assert float(cloud.norm(dim=1).min()) > 0.7


def test_data_that_was_not_scaled_takes_shapes_as_they_are(tmp_path: Path) -> None:
    plain = PointCloudModality(SampleSpec(shape=(100, 3), dtype="float32"))
    small, large = (trimesh.creation.icosphere(radius=radius) for radius in (0.25, 2))
    small.export(tmp_path / "small.ply")
    large.export(tmp_path / "large.ply")
    farthest = float(plain.adapt(tmp_path / "small.ply").norm(dim=1).max())
    assert farthest == pytest.approx(0.25, rel=0.01)
    with pytest.raises(DataError, match="beyond -1 to 1"):
        plain.adapt(tmp_path / "large.ply")


@pytest.mark.parametrize(
    ("name", "content", "reported"),
    [
        ("no.ply", None, "There is no file"),
        ("broken.ply", b"ply?", r"cannot be read as a point cloud: not a valid PLY"),
        ("empty.glb", b"", "cannot be read as a point cloud: empty"),
    ],
)
def test_a_file_that_cannot_be_taken_is_a_sentence(
    tmp_path: Path, name: str, content: bytes | None, reported: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=reported):
        modality().adapt(tmp_path / name)


def test_a_preview_is_a_grid_and_another_that_turns(tmp_path: Path) -> None:
    many = CLOUDS.repeat(7, 1, 1)
    path = modality().preview(many, tmp_path / "step-000007.v1.2")
    assert path.name == "step-000007.v1.2.png"
    with Image.open(path) as grid:
        assert grid.size == (5 * 160, 5 * 160)
    with Image.open(tmp_path / "step-000007.v1.2.turning.gif") as turning:
        assert (turning.n_frames, turning.size) == (20, (4 * 112, 4 * 112))
        assert "loop" in turning.info


def test_what_went_wrong_in_a_network_can_be_saved_and_shown(tmp_path: Path) -> None:
    odd = torch.tensor([[[torch.nan, torch.inf, -torch.inf], [5.0, -5.0, 0.5]]])
    stored = modality(2).to_stored(odd)
    assert stored.tolist() == [[[0.0, 1.0, -1.0], [1.0, -1.0, 0.5]]]
    modality(2).preview(stored, tmp_path / "odd")


def brightness(cloud: list[tuple[float, float, float]], tmp_path: Path) -> np.ndarray:
    with Image.open(modality().preview(torch.tensor([cloud]), tmp_path / "one")) as picture:
        return np.asarray(picture.convert("L")).astype(int)


def test_what_is_up_is_above_and_what_is_near_is_brighter_and_hides(tmp_path: Path) -> None:
    height = [np.nonzero(brightness([(0, y, 0)], tmp_path) > 60)[0].mean() for y in (-0.8, 0.8)]
    assert height[1] < 80 - 40 < 80 + 40 < height[0]
    yaw, pitch = np.radians((30, 25))
    near = 0.9 * np.array((np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)))
    one, other = tuple(near.tolist()), tuple((-near).tolist())
    assert brightness([one], tmp_path).max() > brightness([other], tmp_path).max() + 50
    for order in ([one, other], [other, one]):
        assert (brightness(order, tmp_path) == brightness([one], tmp_path)).all()

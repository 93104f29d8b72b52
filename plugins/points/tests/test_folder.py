"""Folders of meshes and scans: what is read, and what is said about the rest."""

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from aigc_core import DataError, DataFolders, SampleStore
from aigc_core.errors import UserError
from aigc_pointclouds.datasets.folder import MeshFolder
from aigc_pointclouds.options import MeshFolderOptions

TALL = trimesh.creation.box(extents=(1, 3, 2))
TALL.apply_translation((10, 20, 30))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "meshes"
    path.mkdir()
    return path


def load(root: Path, **options: object) -> SampleStore:
    folders = DataFolders(root=root, cache=root.parent / "cache")
    dataset = MeshFolder(MeshFolderOptions(**({"points": 500} | options)), folders)
    dataset.prepare()
    return dataset.load("train")


@pytest.mark.parametrize("suffix", ["ply", "obj", "glb", "stl", "off"])
def test_each_format_gives_points_of_the_surface_in_the_unit_ball(root: Path, suffix: str) -> None:
    TALL.export(root / f"tall.{suffix}")
    store = load(root)
    (cloud,) = store.arrays["samples"]
    assert (cloud.shape, cloud.dtype, store.notes) == ((500, 3), torch.float32, ())
    assert cloud.mean(0).abs().max() < 1e-6
    assert float(cloud.norm(dim=1).max()) == pytest.approx(1)
    low, high = cloud.amin(0), cloud.amax(0)
    sides = high - low
    assert (sides / sides[0]).tolist() == pytest.approx([1, 3, 2], rel=0.05)
    near = 0.02 * sides  # each point is on a face
    assert (((cloud - low) < near) | ((high - cloud) < near)).any(1).all()


def test_points_are_spread_by_area_not_by_faces(root: Path) -> None:
    """One square in two triangles, another of the same size in 2,048."""
    one = trimesh.Trimesh([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)], [(0, 1, 2), (0, 2, 3)])
    other = one.copy()
    for _ in range(5):
        other = other.subdivide()
    other.apply_translation((0, 0, 5))
    trimesh.util.concatenate([one, other]).export(root / "two.stl")
    (cloud,) = load(root, points=2000).arrays["samples"]
    assert float((cloud[:, 2] > 0).double().mean()) == pytest.approx(0.5, abs=0.04)


def test_a_scene_is_one_shape_with_its_parts_in_place(root: Path) -> None:
    scene = trimesh.Scene()
    ball = trimesh.creation.icosphere(radius=1)
    for x in (-4, 4):
        scene.add_geometry(ball, transform=trimesh.transformations.translation_matrix((x, 0, 0)))
    scene.export(root / "pair.glb")
    (cloud,) = load(root).arrays["samples"]
    assert float(cloud[:, 0].abs().min()) > 0.4
    assert 0.4 < float((cloud[:, 0] > 0).double().mean()) < 0.6


def test_with_z_upwards_shapes_are_turned_not_mirrored(root: Path) -> None:
    corner = trimesh.Trimesh(
        [(0, 0, 0), (1, 0, 0), (0, 2, 0), (0, 0, 4)], [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]
    )
    corner.export(root / "corner.stl")
    (flat,), (turned,) = (load(root, up=up).arrays["samples"] for up in ("y", "z"))
    matrix = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # z becomes y
    assert float(torch.linalg.det(matrix)) == 1
    torch.testing.assert_close(turned, flat @ matrix.T)
    assert turned[:, 1].max() > flat[:, 1].max()


def test_a_cloud_is_thinned_if_it_has_enough_points(root: Path) -> None:
    points = np.random.default_rng(0).normal(size=(800, 3))
    trimesh.PointCloud(points).export(root / "scan.ply")
    (cloud,) = load(root).arrays["samples"]
    assert len(cloud.unique(dim=0)) == 500  # none twice
    message = (
        r"cannot be read as meshes: scan\.ply \(800 points and no faces, and 801 points are needed"
    )
    with pytest.raises(DataError, match=message):
        load(root, points=801)


def test_sub_folders_are_classes(root: Path) -> None:
    for name in ("table", "chair"):
        for number in range(2):
            (root / name).mkdir(exist_ok=True)
            TALL.export(root / name / f"{number}.ply")
    store = load(root)
    assert (store.label_names, store.arrays["labels"].tolist()) == (
        ("chair", "table"),
        [0, 0, 1, 1],
    )


def test_one_file_is_a_folder_of_one(root: Path) -> None:
    TALL.export(root / "tall.stl")
    TALL.export(root / "other.stl")
    assert len(load(root / "tall.stl")) == 1


FLAT = b"solid a\nendsolid a\n"
LINE = b"v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n"
NAN = b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\n"
NAN += b"property float z\nend_header\nnan 0 0\n"
BROKEN = {
    "empty.ply": (b"", "empty"),
    "words.ply": (b"I am no mesh.\n", "not a valid PLY"),
    "words.stl": (b"I am no mesh.\n", "neither faces nor points"),
    "words.glb": (b"I am no mesh.\n", "not a valid GLB"),
    "words.off": (b"I am no mesh.\n", "not a valid OFF"),
    "words.obj": (b"I am no mesh.\n", "neither faces nor points|not a valid OBJ"),
    "cut.glb": (TALL.export(file_type="glb")[:-200], "not a valid GLB"),
    "cut.ply": (TALL.export(file_type="ply")[:-100], "not a valid PLY"),
    "cut.stl": (TALL.export(file_type="stl")[:-100], "not a valid STL|neither faces nor points"),
    "none.stl": (FLAT, "neither faces nor points|not a valid STL"),
    "line.obj": (LINE, "its faces have no area"),
    "nan.ply": (NAN, "coordinates that are not finite"),
    "point.ply": (NAN.replace(b"nan 0 0", b"0 0 0"), "1 points and no faces"),
    "face.off": (b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n", "points that are not there|OFF"),
    "huge.ply": (
        NAN.replace(b"vertex 1", b"vertex 999999999999").replace(b"ascii", b"binary_little_endian"),
        "not a valid PLY",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_used_is_skipped_and_named_with_the_reason(root: Path, name: str) -> None:
    content, reason = BROKEN[name]
    TALL.export(root / "good.ply")
    (root / name).write_bytes(content)
    store = load(root)
    assert len(store) == 1
    (note,) = store.notes
    assert note.startswith(f"Skipped files that cannot be read: {name} (")
    assert any(part in note for part in reason.split("|")), note


def test_a_folder_of_nothing_else_is_an_error(root: Path) -> None:
    for name, (content, _) in BROKEN.items():
        (root / name).write_bytes(content)
    with pytest.raises(UserError, match=r"None of the 15 files .* can be read as meshes") as caught:
        load(root)
    assert caught.value.exit_code == 2
    assert not list(root.parent.rglob("*.safetensors"))


def test_other_formats_are_counted_with_what_would_help(root: Path) -> None:
    TALL.export(root / "tall.stl")
    (root / "scene.gltf").write_text("{}")
    (note,) = load(root).notes
    assert "1 .gltf (export it as .glb, which is one file)" in note

"""Read a mesh or a cloud, whatever its format, and draw points from it."""

import io
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray

from aigc_core.datasets import UnreadableError
from aigc_core.errors import reason
from aigc_pointclouds.geometry import into_unit_ball

SUFFIXES = (".ply", ".obj", ".glb", ".stl", ".off")
HINTS = {
    ".gltf": "export it as .glb, which is one file",
    **dict.fromkeys((".fbx", ".blend", ".dae", ".3ds", ".usd", ".usdz"), "export it as .glb"),
    **dict.fromkeys((".pcd", ".las", ".laz", ".xyz", ".e57"), "convert it to .ply"),
    **dict.fromkeys((".step", ".stp", ".iges", ".igs"), "export it as .stl"),
}

Points = NDArray[np.float64]


def decode(
    path: Path, count: int, *, up: str = "y", normalize: bool = True
) -> tuple[NDArray[np.float32], str]:
    """Return ``count`` points of a file, float32 ``(count, 3)``, and what it held, in words.

    Points are drawn from a mesh uniformly by area, and chosen from a cloud without repetition;
    always the same ones. Faces count where a file has both faces and loose points.

    Args:
        path: of a file with one of ``SUFFIXES``.
        count: how many points.
        up: ``y`` or ``z``: which axis of the file points upwards; y does in the result.
        normalize: whether the points are moved and scaled as by ``into_unit_ball``.

    Raises:
        UnreadableError: it cannot be read, or holds too few points and no surface.
    """
    meshes, clouds = _contents(path)
    rng = np.random.default_rng(0)
    if meshes:
        points, source = _drawn(trimesh.util.concatenate(meshes), count, rng)
    else:
        points, source = _chosen(np.concatenate(clouds), count, rng)
    if up == "z":
        points = points[:, [0, 2, 1]] * (1, 1, -1)  # a turn by 90° about x
    if not normalize:
        return points.astype(np.float32), source
    size = np.ptp(points, axis=0).max()
    if not 1e-30 < size < 1e30:
        raise UnreadableError("all its points are the same" if size == 0 else "too small or large")
    return into_unit_ball(points), source


def points_of(path: Path) -> Points:
    """Return the points of a file without faces, float64 ``(N, 3)``, in its order.

    Raises:
        UnreadableError: it cannot be read, or holds a mesh.
    """
    meshes, clouds = _contents(path)
    if meshes:
        raise UnreadableError("it holds a mesh, not points alone")
    return np.concatenate(clouds)


def _contents(path: Path) -> tuple[list[trimesh.Trimesh], list[Points]]:
    """Return a file's meshes with faces, and points without; at least one of them."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableError(reason(error).lower()) from error
    if not content:
        raise UnreadableError("empty")
    try:
        # From memory, so that a file cannot name others that are read with it.
        scene = trimesh.load_scene(
            io.BytesIO(content),
            file_type=path.suffix.lower().lstrip("."),
            process=False,
            skip_materials=True,
        )
        parts = scene.dump()  # with all transforms of the scene
    except Exception as error:  # trimesh's readers raise almost anything on damaged files
        raise UnreadableError(f"not a valid {path.suffix[1:].upper()}") from error
    meshes, clouds = [], []
    for part in parts:
        points = np.asarray(getattr(part, "vertices", np.zeros((0, 3))), np.float64)
        if points.ndim != 2 or points.shape[1] != 3 or not len(points):
            continue
        if not np.isfinite(points).all():
            raise UnreadableError("coordinates that are not finite")
        if isinstance(part, trimesh.Trimesh) and len(part.faces):
            if part.faces.min() < 0 or part.faces.max() >= len(points):
                raise UnreadableError("a face of points that are not there")
            meshes.append(part)
        else:
            clouds.append(points)
    if not meshes and not clouds:
        raise UnreadableError("neither faces nor points in it")
    return meshes, clouds


def _drawn(mesh: trimesh.Trimesh, count: int, rng: np.random.Generator) -> tuple[Points, str]:
    area = mesh.area
    if not np.isfinite(area) or area <= 0:
        raise UnreadableError("its faces have no area")
    points, _ = trimesh.sample.sample_surface(mesh, count, seed=rng)[:2]
    return np.asarray(points), f"a mesh of {len(mesh.faces):,} faces"


def _chosen(points: Points, count: int, rng: np.random.Generator) -> tuple[Points, str]:
    if len(points) < count:
        raise UnreadableError(
            f"{len(points):,} points and no faces, and {count:,} points are needed"
        )
    source = f"a cloud of {len(points):,} points"
    if len(points) == count:
        return points, source
    return points[rng.choice(len(points), count, replace=False)], source

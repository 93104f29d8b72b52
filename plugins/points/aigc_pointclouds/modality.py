"""Clouds of points: float32 coordinates, saved as PLY or binary glTF, shown from all sides."""

import io
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
import trimesh
from torch import Tensor

from aigc_core import DataError, Modality, Representation, SampleSpec
from aigc_core.datasets import UnreadableError, atomic_file
from aigc_core.notes import GIF, PNG, NoteFormat
from aigc_pointclouds.geometry import RADIUS
from aigc_pointclouds.notes import GLB, PLY
from aigc_pointclouds.preview import sheet, turning

logger = logging.getLogger("aigc")


class PointCloudModality(Modality):
    """Sets of N points in three dimensions; their order means nothing. y points upwards.

    Stored, and in the model's form: float32 ``(N, 3)``, x, y and z in [-1, 1]. If
    ``spec.units["radius"]`` is there, the data was moved and scaled so that each cloud's mean is
    the origin and its farthest point at that distance. Generated clouds may have any number of
    points.
    """

    formats: ClassVar[tuple[str, ...]] = ("ply", "glb")
    notes: ClassVar[Mapping[str, NoteFormat]] = {"ply": PLY, "glb": GLB, "png": PNG, "gif": GIF}
    media_types: ClassVar[Mapping[str, str]] = {"glb": "model/gltf-binary"}  # PLY has none

    def __init__(self, spec: SampleSpec) -> None:
        super().__init__(spec)
        if spec.dtype != "float32":
            raise DataError(
                f"Point clouds are stored as float32, and this dataset's are {spec.dtype}. Scale "
                "them to -1..1 in the dataset's load()."
            )
        if len(spec.shape) != 2 or spec.shape[0] < 1 or spec.shape[1] != 3:
            raise DataError(
                "Point clouds have the shape (points, 3), and this dataset's have "
                f"{spec.shape}. Sample them in its load()."
            )

    def representation(self) -> Representation:
        """A set: coordinates first, and a side whose order means nothing."""
        from aigc_pointclouds.coordinates import Coordinates

        return Coordinates(self.spec.shape[0])

    def to_model(self, stored: Tensor) -> Tensor:
        """Return float32 ``(B, N, 3)``, as stored."""
        return stored

    def to_stored(self, samples: Tensor) -> Tensor:
        """Map float ``(B, N, 3)`` to float32, clamped to [-1, 1]; NaN becomes 0."""
        return samples.float().nan_to_num(0.0).clamp(-1, 1)

    def encoded(self, stored: Tensor, format: str) -> bytes:
        """Return float32 ``(N, 3)`` as the bytes of a PLY or GLB."""
        self.check_format(format)
        exported: bytes = trimesh.PointCloud(stored.cpu().numpy()).export(file_type=format)
        return exported

    def read(self, path: Path) -> Tensor:
        """Read a PLY or GLB of N points as float32 ``(N, 3)``.

        Raises:
            DataError: it cannot be read, holds a mesh, has another number of points than the spec,
                or coordinates beyond [-1, 1].
        """
        from aigc_pointclouds.datasets._decode import points_of

        try:
            points = points_of(path).astype(np.float32)
        except UnreadableError as error:
            raise DataError(f"{path} cannot be read as a point cloud: {error}.") from error
        if points.shape != self.spec.shape:
            raise DataError(f"{path} has {len(points):,} points, not {self.spec.shape[0]:,}.")
        if np.abs(points).max() > 1:
            raise DataError(f"{path} has coordinates beyond -1 to 1.")
        return torch.from_numpy(points)

    def is_readable(self, path: Path) -> bool:
        """Whether it may be a mesh or a cloud, by its suffix."""
        from aigc_pointclouds.datasets._decode import SUFFIXES

        return path.suffix.lower() in SUFFIXES

    def adapt(self, path: Path) -> Tensor:
        """Read any mesh or cloud as float32 ``(N, 3)``, as ``mesh-folder`` does, with y upwards.

        Points are drawn from a mesh's surface, or chosen from a cloud. If the spec has ``radius``,
        they are moved and scaled as the data was. Says in the log what it did.
        """
        from aigc_pointclouds.datasets._decode import decode

        if not path.is_file():
            raise DataError(f"There is no file {path}.")
        count = self.spec.shape[0]
        is_scaled = "radius" in self.spec.units
        try:
            points, source = decode(path, count, normalize=is_scaled)
        except UnreadableError as error:
            raise DataError(f"{path} cannot be read as a point cloud: {error}.") from error
        if np.abs(points).max() > 1:
            raise DataError(
                f"{path} has coordinates beyond -1 to 1, and clouds of this data were not scaled. "
                "Scale it as the data is."
            )
        scaled = f", moved to the middle and scaled to a radius of {RADIUS:g}" if is_scaled else ""
        logger.info("%s: %s became %s points%s.", path.name, source, f"{count:,}", scaled)
        return torch.from_numpy(points)

    def preview(self, stored: Tensor, path: Path) -> Path:
        """Write float32 ``(B, N, 3)`` as a picture to look at and one that turns.

        ``<path>.png``, which is returned, is a roughly square grid of all clouds, seen obliquely
        from above. ``<path>.turning.gif`` beside it shows the first sixteen from all sides.
        """
        clouds = stored.cpu().numpy()
        frames = turning(clouds)
        moving = io.BytesIO()
        frames[0].save(moving, "GIF", save_all=True, append_images=frames[1:], duration=100, loop=0)
        # Not with_suffix: the name may contain dots, such as "step-000500.seed-1".
        with atomic_file(path.with_name(path.name + ".turning.gif")) as scratch:
            scratch.write_bytes(moving.getvalue())
        picture = path.with_name(path.name + ".png")
        with atomic_file(picture) as scratch:
            sheet(clouds).save(scratch, format="PNG")
        return picture

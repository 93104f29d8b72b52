"""Any folder of meshes and scans, or one file, read once and cached."""

from pathlib import Path

from aigc_core import SampleSpec
from aigc_core.datasets import DecodedFile, FolderDataset
from aigc_pointclouds.datasets._decode import HINTS, SUFFIXES, decode
from aigc_pointclouds.datasets._spec import cloud_spec
from aigc_pointclouds.options import MeshFolderOptions


class MeshFolder(FolderDataset):
    """The meshes below ``--data-root``; if every file is in a sub-folder, these are classes.

    Points are drawn from a mesh's surface, uniformly by area. A file without faces is a cloud, of
    which points are chosen, if it has enough of them.
    """

    options: MeshFolderOptions
    name = "mesh-folder"
    kind = ("mesh", "meshes")
    suffixes = SUFFIXES
    hints = HINTS
    format = 1
    single_file = True

    @property
    def spec(self) -> SampleSpec:
        """Clouds float32 ``(points, 3)``, in the unit ball."""
        return cloud_spec(self.options.points)

    def decode(self, path: Path) -> DecodedFile:
        """Read one file; raises ``UnreadableError`` if it is not a usable mesh or cloud."""
        points, _ = decode(path, self.options.points, up=self.options.up)
        return DecodedFile(points[None])

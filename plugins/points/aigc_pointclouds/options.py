"""Options of the point cloud datasets (``dataset.options.*``); free of torch."""

from typing import Annotated, Literal

from pydantic import Field

from aigc_core import ConfigModel

Points = Annotated[int, Field(ge=8, le=1 << 20)]


class SolidsOptions(ConfigModel):
    """Solids drawn by code."""

    points: Points = 1024
    """How many points each cloud has."""
    count: int = Field(4000, ge=8, le=1_000_000)
    """Clouds in the train split; the test split has a fifth as many."""


class MeshFolderOptions(ConfigModel):
    """A folder of meshes and scans, or one file."""

    points: Points = 1024
    """How many points each cloud has: this many are drawn from a mesh's surface, or chosen from a
    file that holds points alone."""
    up: Literal["y", "z"] = "y"
    """Which axis of the files points upwards. Clouds have y upwards, as glTF has; with z, which
    many STL and CAD files have, shapes are turned."""

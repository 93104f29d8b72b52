"""What the clouds of this plugin's datasets are."""

from aigc_core import SampleSpec
from aigc_pointclouds.geometry import RADIUS


def cloud_spec(points: int) -> SampleSpec:
    """Return the spec of clouds of this many points, in the unit ball."""
    return SampleSpec(shape=(points, 3), dtype="float32", units={"radius": RADIUS})

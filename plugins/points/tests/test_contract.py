"""The point cloud plugin keeps what every plugin promises."""

from aigc_core.testing import PluginContract


class TestPointCloud(PluginContract):
    plugin = "point-cloud"

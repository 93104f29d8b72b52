"""The plugin keeps what every plugin promises."""

from aigc_core.testing import PluginContract


class TestPoints(PluginContract):
    plugin = "points"

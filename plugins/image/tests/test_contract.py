"""The image plugin keeps what every plugin promises."""

from aigc_core.testing import PluginContract


class TestImage(PluginContract):
    plugin = "image"

"""The video plugin keeps what every plugin promises."""

from aigc_core.testing import PluginContract


class TestVideo(PluginContract):
    plugin = "video"

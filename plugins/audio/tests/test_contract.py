"""The audio plugin keeps what every plugin promises."""

from aigc_core.testing import PluginContract


class TestAudio(PluginContract):
    plugin = "audio"

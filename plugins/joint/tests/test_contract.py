"""The joint plugin keeps what every plugin promises."""

from aigc_core.testing import PluginContract


class TestJoint(PluginContract):
    plugin = "joint"

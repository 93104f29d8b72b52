"""The contract suite, which checks whether a plugin keeps its promises, and helpers for its tests.

Importing this package does not import torch; only ``PluginContract`` and
``aigc_core.testing.fixtures`` need pytest.
"""

from typing import TYPE_CHECKING

from aigc_core._lazy import lazy_exports

if TYPE_CHECKING:
    from aigc_core.testing.contract import PluginContract
    from aigc_core.testing.process.isolation import isolated_host, tmp_plugin
    from aigc_core.testing.results import CheckResult
    from aigc_core.testing.runner import check_plugin
    from aigc_core.testing.stores import tiny_store

__getattr__ = lazy_exports(
    __name__,
    {
        "CheckResult": "results",
        "PluginContract": "contract",
        "check_plugin": "runner",
        "isolated_host": "process.isolation",
        "tiny_store": "stores",
        "tmp_plugin": "process.isolation",
    },
)

__all__ = [
    "CheckResult",
    "PluginContract",
    "check_plugin",
    "isolated_host",
    "tiny_store",
    "tmp_plugin",
]

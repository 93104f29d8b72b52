"""The contract suite as a class of pytest tests."""

from __future__ import annotations

from typing import Any, ClassVar

from aigc_core.errors import PluginError
from aigc_core.plugins import PluginHost, get_host
from aigc_core.testing.runner import Planned, Runner


class PluginContract:
    """Subclass it in a plugin's tests; pytest then shows one item for each check.

    ::

        from aigc_core.testing import PluginContract

        class TestPoints(PluginContract):
            plugin = "points"

    Items are named ``test_check[recipe points/gan: batch-of-one]``. A known failure is a strict
    ``xfail``: it is shown with its reason, and reported as failed once it passes.
    """

    plugin: ClassVar[str]
    """Name of the plugin, as ``aigc plugins list`` shows it."""
    _runner: ClassVar[Runner | None] = None

    @classmethod
    def host(cls) -> PluginHost:
        """Return the host that knows the plugin; override it if the plugin is not installed."""
        return get_host()

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Make an item for each planned check; called by pytest."""
        import pytest  # here, since pytest is installed for tests only

        cls = metafunc.cls
        if "contract_check" not in metafunc.fixturenames:
            return
        if not hasattr(cls, "plugin"):
            pytest.fail(f"{cls.__name__} needs the plugin's name: plugin = ...", pytrace=False)
        try:
            cls._runner = Runner(cls.host(), cls.plugin)
        except PluginError as error:
            pytest.fail(str(error), pytrace=False)
        parameters = [
            pytest.param(
                item,
                id=item.name,
                marks=[]
                if item.known is None
                else pytest.mark.xfail(reason=item.known, strict=True),
            )
            for item in cls._runner.planned
        ]
        metafunc.parametrize("contract_check", parameters)

    @classmethod
    def teardown_class(cls) -> None:
        """Remove what the checks wrote; called by pytest."""
        if cls._runner is not None:
            cls._runner.close()

    def test_check(self, contract_check: Planned) -> None:
        """Run one check."""
        import pytest

        assert self._runner is not None
        failure, _ = self._runner.attempt(contract_check)
        if failure is not None:
            pytest.fail(failure, pytrace=False)

"""Calling observers so that a faulty one never stops a training."""

from __future__ import annotations

import logging
from typing import Any

import pluggy

logger = logging.getLogger("aigc")


class HookCaller:
    """Calls observer hooks one implementation at a time.

    pluggy stops at the first implementation that raises and does not say whose it was. Here the
    error is logged once with the plugin's name, that plugin is switched off for the run, and the
    others are called.
    """

    def __init__(self, manager: pluggy.PluginManager) -> None:
        self._manager = manager
        self._off: set[str] = set()

    def call(self, hook: str, **arguments: Any) -> None:
        """Call ``hook`` on every plugin that implements it and has not failed in this run.

        In the order of registration; ``tryfirst`` and ``trylast`` are honoured. Implementations
        get only the arguments they ask for.
        """
        implementations = getattr(self._manager.hook, hook).get_hookimpls()
        for implementation in sorted(implementations, key=lambda i: i.trylast - i.tryfirst):
            name = implementation.plugin_name
            if name in self._off:
                continue
            wanted = (*implementation.argnames, *implementation.kwargnames)
            try:
                implementation.function(**{a: arguments[a] for a in wanted if a in arguments})
            except Exception as error:
                self._off.add(name)
                logger.warning(
                    "The plugin '%s' failed in %s and is switched off for this run: %s: %s",
                    _shown_name(implementation),
                    hook,
                    type(error).__name__,
                    error,
                )
                logger.debug("Its traceback:", exc_info=error)


def _shown_name(implementation: pluggy.HookImpl) -> str:
    """Return the plugin's name, or the class of an object that was registered without one."""
    plugin = implementation.plugin
    unnamed = implementation.plugin_name == str(id(plugin))
    return type(plugin).__name__ if unnamed else implementation.plugin_name

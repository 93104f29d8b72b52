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
        """Call ``hook`` on every plugin that implements it and has not failed in this run."""
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            name = implementation.plugin_name
            if name in self._off:
                continue
            try:
                implementation.function(*[arguments[a] for a in implementation.argnames])
            except Exception as error:
                self._off.add(name)
                logger.warning(
                    "The plugin '%s' failed in %s and is switched off for this run: %s: %s",
                    name,
                    hook,
                    type(error).__name__,
                    error,
                )

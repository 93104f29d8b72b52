"""Checks hooks strictly, and calls observers so that a faulty one never stops training."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Sequence
from typing import Any

import pluggy

from aigc_core.errors import PluginError, StopTraining, did_you_mean
from aigc_core.plugins import hookspecs
from aigc_core.plugins.guarded_import import NEVER_CATCH, describe
from aigc_core.plugins.options import host_options

logger = logging.getLogger("aigc")


def check_hooks(manager: pluggy.PluginManager, plugin: object) -> None:
    """Check a plugin's or an observer's hooks for mistakes that pluggy silently accepts.

    Raises:
        PluginError: a class instead of an instance, an unknown, unmarked or async hook, a
            wrapper, or an argument that the hook does not have. Suggests the nearest valid name.
    """
    if inspect.isclass(plugin):
        raise PluginError(
            f"The entry point names the class {plugin.__name__}; name a module or an instance."
        )
    known = [name for name in vars(hookspecs) if name.startswith("aigc_")]
    for name in dir(plugin):
        options = manager.parse_hookimpl_opts(plugin, name)
        if options is None:
            if name in known:
                raise PluginError(f"'{name}' is not marked; put @aigc_core.hookimpl above it.")
            continue
        hook = options.get("specname") or name
        if hook in known:
            _check_arguments(plugin, name, hook)
            function = getattr(plugin, name)
            if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
                raise PluginError(f"'{name}' is async; hooks of aigc are called plainly.")
            if options.get("wrapper") or options.get("hookwrapper"):
                raise PluginError(f"'{name}' is a wrapper, which hooks of aigc do not have.")
        elif not options.get("optionalhook"):
            raise PluginError(f"There is no hook '{hook}'.{did_you_mean(hook, known)}")


def _check_arguments(plugin: object, name: str, hook: str) -> None:
    spec = inspect.signature(getattr(hookspecs, hook)).parameters
    for argument in inspect.signature(getattr(plugin, name)).parameters.values():
        if argument.name not in spec:
            raise PluginError(
                f"The hook '{hook}' has no argument '{argument.name}'."
                + did_you_mean(argument.name, spec)
            )
        if argument.kind is not argument.POSITIONAL_OR_KEYWORD:
            raise PluginError(
                f"The argument '{argument.name}' of '{name}' must be a plain one, without *."
            )


class HookCaller:
    """Calls observer hooks one implementation at a time.

    pluggy stops at the first implementation that raises and does not say whose it was. Here the
    error is logged once with the plugin's name, the plugin is switched off for the run, and the
    others are still called.
    """

    def __init__(self, manager: pluggy.PluginManager, observers: Sequence[object] = ()) -> None:
        """Set up calls to ``manager``'s plugins and, after them, this run's own ``observers``.

        Raises:
            PluginError: an observer has an invalid hook.
        """
        own = pluggy.PluginManager(hookspecs.PROJECT)
        own.add_hookspecs(hookspecs)
        for observer in observers:
            check_hooks(own, observer)
            own.register(observer)
        self._managers = (manager, own)
        self._strict = host_options().strict
        self._off: set[int] = set()  # ids: an observer need not be hashable

    def call(self, hook: str, **arguments: Any) -> None:
        """Call ``hook`` on every plugin that implements it and has not failed in this run.

        Implementations are called in registration order, apart from ``tryfirst`` and ``trylast``,
        and get only the arguments they ask for.

        Raises:
            StopTraining: an implementation asked for it; the others were still called.
            PluginError: an implementation failed, and the option ``strict`` is set.
        """
        implementations = [
            implementation
            for manager in self._managers
            for implementation in getattr(manager.hook, hook).get_hookimpls()
        ]
        asked: StopTraining | None = None
        for implementation in sorted(implementations, key=lambda i: i.trylast - i.tryfirst):
            if id(implementation.plugin) in self._off:
                continue
            wanted = (*implementation.argnames, *implementation.kwargnames)
            try:
                implementation.function(**{a: arguments[a] for a in wanted if a in arguments})
            except NEVER_CATCH:
                raise
            except StopTraining as stop:
                asked = stop
            except (Exception, SystemExit) as error:
                self._off.add(id(implementation.plugin))
                if self._strict:
                    raise PluginError(
                        f"The plugin '{_shown_name(implementation)}' failed in {hook}, and "
                        f"--strict makes that an error: {describe(error)}"
                    ) from error
                logger.warning(
                    "The plugin '%s' failed in %s and is switched off for this run: %s",
                    _shown_name(implementation),
                    hook,
                    describe(error),
                )
                logger.debug("Its traceback:", exc_info=error)
        if asked is not None:
            raise asked


def _shown_name(implementation: pluggy.HookImpl) -> str:
    """Return the plugin's name, or the class name if it was registered without one."""
    plugin = implementation.plugin
    unnamed = implementation.plugin_name == str(id(plugin))
    return type(plugin).__name__ if unnamed else implementation.plugin_name

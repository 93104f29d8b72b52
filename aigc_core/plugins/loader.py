"""The plugin host: loads each installed plugin under guard, and looks things up by name.

A broken plugin never takes down the others or the command line: its error is kept in its status
and raised only when something that the plugin should provide is needed.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pluggy

from aigc_core.errors import ConfigError, PluginError, UserError, did_you_mean
from aigc_core.plugins import hookspecs
from aigc_core.plugins.catalogue import Kind, load_catalogue
from aigc_core.plugins.compatibility import incompatibility
from aigc_core.plugins.guarded_import import NEVER_CATCH, describe, guarded, import_plugin
from aigc_core.plugins.hooks import check_hooks
from aigc_core.plugins.installed import (
    InstalledPlugin,
    as_argument,
    find_installed,
    normal_name,
)
from aigc_core.plugins.missing import missing
from aigc_core.plugins.options import HostOptions, host_options
from aigc_core.plugins.registrations import Registrations
from aigc_core.plugins.specs import DatasetSpec, MetricSpec, ModalitySpec, RecipeSpec
from aigc_core.plugins.status import PluginStatus

logger = logging.getLogger("aigc")


class PluginHost:
    """Holds every plugin and everything that plugins registered."""

    def __init__(self, options: HostOptions | None = None) -> None:
        """Start with no plugins; ``options`` defaults to ``host_options()``."""
        self.options = options or host_options()
        self.manager = pluggy.PluginManager(hookspecs.PROJECT)
        self.manager.add_hookspecs(hookspecs)
        self.statuses: list[PluginStatus] = []
        self.registered = Registrations()
        tables = self.registered.tables
        self.modalities: dict[str, ModalitySpec] = tables["modality"]
        self.datasets: dict[str, DatasetSpec] = tables["dataset"]
        self.recipes: dict[str, RecipeSpec] = tables["recipe"]
        self.metrics: dict[str, MetricSpec] = tables["metric"]

    def discover(self, about_to_load: Callable[[str], None] = lambda key: None) -> None:
        """Load every installed plugin that may load, in the order of their names.

        Args:
            about_to_load: called with a key that identifies the plugin, before its code runs; if
                it raises ``PluginError``, that is treated as the plugin's own error.

        Raises:
            PluginError: ``--no-plugins`` names a plugin that is not installed; or, with the option
                ``strict``, a name in ``AIGC_PLUGINS`` is unknown or a plugin fails or warns.
        """
        self.options.check_names()
        for plugin in _the_known_first(find_installed()):
            self.load(plugin, about_to_load)
        for status in self.statuses if self.options.strict else ():
            if status.broken:
                raise PluginError(
                    f"The plugin '{status.name}' could not be loaded, and --strict makes that an "
                    f"error. {status.what_to_do}"
                )
            if status.warning:
                raise PluginError(
                    f"The plugin '{status.name}' warns, and --strict makes that an error: "
                    f"{status.warning}"
                )

    def load(
        self, plugin: InstalledPlugin, about_to_load: Callable[[str], None] = lambda key: None
    ) -> PluginStatus:
        """Import and register one plugin; an error is kept in the returned status."""
        status = PluginStatus.of(plugin)
        if blocked := self.options.blocked(plugin):
            status.fail("disabled", *blocked)
        elif plugin.problem:
            who = plugin.distribution or plugin.name
            status.fail("error", f"{who}: {plugin.problem}", plugin.fix)
        elif misfit := incompatibility(plugin):
            status.fail("incompatible", *misfit)
        twins = [s for s in self.statuses if s.name == status.name]
        for twin in twins:
            if (twin.distribution, twin.module) == (status.distribution, status.module):
                return twin  # the same metadata, found twice
        self.statuses.append(status)
        if status.state == "active":
            if used := next((s for s in twins if s.state == "active"), None):
                first, second = (s.distribution or s.module for s in (used, status))
                status.fail(
                    "error",
                    f"The distributions {first} and {second} both bring a plugin named "
                    f"'{status.name}'; that of {first} is used. Disable either of them.",
                    f"aigc plugins disable {as_argument(second)}",
                )
            else:
                called = f"{status.name} ({status.distribution})" if twins else status.name
                self._run(status, called, about_to_load)
        return status

    def status(self, name: str) -> PluginStatus | None:
        """Return the plugin of this name, preferring an active one; None if there is none."""
        found = [status for status in self.statuses if status.name == name]
        return next((s for s in found if s.state == "active"), found[0] if found else None)

    def _run(self, status: PluginStatus, called: str, about_to_load: Callable[[str], None]) -> None:
        """Run a plugin's code: import it and let it register what it provides."""
        had_torch = "torch" in sys.modules
        try:
            with guarded() as changed:
                about_to_load(called)
                module = import_plugin(status)
                where = "it is loaded"
                had_torch_then = "torch" in sys.modules
                self.register(module, status)
        except PluginError as error:
            status.fail("error", str(error), status.fix)
            return
        if "torch" in sys.modules and not had_torch:
            if not had_torch_then:
                where = "its hooks aigc_register_… are called"
            status.warn(
                f"{status.module} imports torch while {where}, which makes every command seconds "
                "slower. Its author should move that import into the modules that its specs name."
            )
        if changed:
            status.warn(
                f"{status.module} changes {' and '.join(changed)} while it is loaded; that was "
                "undone."
            )

    def register(self, plugin: object, status: PluginStatus) -> None:
        """Register a loaded plugin and its specs; an error is kept in ``status``."""
        if not any(known is status for known in self.statuses):
            self.statuses.append(status)
        try:
            check_hooks(self.manager, plugin)
            known = self.manager.get_name(plugin)
            if known is not None:
                raise PluginError(f"{status.module} is registered already, as '{known}'.")
            self.manager.register(plugin, name=status.name)
            self.registered.take(self.manager, plugin, status)
            status.hooks = [caller.name for caller in self.manager.get_hookcallers(plugin) or ()]
            if not status.hooks:
                status.warn(
                    f"{status.module} implements no hook, so it brings nothing. Its author should "
                    "put @aigc_core.hookimpl above its functions."
                )
        except NEVER_CATCH:
            raise
        except BaseException as error:  # as at import
            if self.manager.get_plugin(status.name) is plugin:
                self.manager.unregister(name=status.name)
            self.registered.forget(status)
            status.fail("error", str(error) if isinstance(error, UserError) else describe(error))

    def recipe(self, name: str) -> RecipeSpec:
        """Return a recipe by name; if missing, raise a ``PluginError`` that says how to get it."""
        if name not in self.recipes:
            raise missing("recipe", name, self.recipes, self.statuses)
        return self.recipes[name]

    def dataset(self, name: str, modality: str | None) -> DatasetSpec:
        """Return a dataset by name; raise ``PluginError`` if missing or of another modality."""
        fitting = {n: s for n, s in self.datasets.items() if modality in (None, s.modality)}
        if name not in self.datasets:
            raise missing("dataset", name, fitting, self.statuses)
        spec = self.datasets[name]
        if name not in fitting:
            raise PluginError(
                f"The dataset '{name}' holds {spec.modality}, and the recipe makes {modality}."
                + did_you_mean(name, fitting)
            )
        return spec

    def modality(self, name: str) -> ModalitySpec:
        """Return a modality by name; raise ``PluginError`` if no plugin provides it."""
        if name not in self.modalities:
            raise missing("modality", name, self.modalities, self.statuses)
        return self.modalities[name]

    def metric(self, name: str, modality: str) -> MetricSpec:
        """Return a metric by name; raise ``PluginError`` if missing or for another modality."""
        fitting = {n: s for n, s in self.metrics.items() if s.modality in (None, modality)}
        if name not in self.metrics:
            raise missing("metric", name, fitting, self.statuses)
        if name not in fitting:
            raise PluginError(
                f"The metric '{name}' is for {self.metrics[name].modality}, and the run makes "
                f"{modality}.{did_you_mean(name, fitting)}"
            )
        return fitting[name]

    def owner(self, kind: Kind, name: str) -> str:
        """Return the name of the plugin that provides the thing of this ``kind`` and ``name``."""
        return self.registered.owner(kind, name)

    def resolve(self, reference: str, owner: str) -> Any:
        """Import what a spec's ``"package.module:Name"`` names.

        Raises:
            PluginError: it cannot be imported or has no such name; the message names ``owner``.
        """
        module, _, attribute = reference.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (Exception, SystemExit) as error:
            if isinstance(error, NEVER_CATCH):
                raise
            raise PluginError(
                f"The plugin '{owner}' names {reference}, which cannot be loaded: {describe(error)}"
            ) from error

    def broken(self) -> list[PluginStatus]:
        """Return the plugins that should be active but could not be loaded."""
        return [status for status in self.statuses if status.broken]


def _the_known_first(plugins: list[InstalledPlugin]) -> list[InstalledPlugin]:
    """Return plugins in loading order: among plugins of one name, the registry's comes first."""
    names = Counter(plugin.name.casefold() for plugin in plugins)
    if max(names.values(), default=0) < 2:
        return plugins
    try:
        known = {normal_name(name) for name in load_catalogue().plugins}
    except ConfigError:
        return plugins
    return sorted(
        plugins,
        key=lambda p: (p.name.casefold(), normal_name(p.distribution or "") not in known),
    )


_used: list[PluginHost] = []
_discovered: list[PluginHost] = []


def get_host() -> PluginHost:
    """Return this process's host; the first call loads every plugin that may load.

    Raises:
        UserError: the user's file of disabled plugins is malformed, or as for
            ``PluginHost.discover``.
    """
    if _used:
        return _used[-1]
    options = host_options()
    if not _discovered or _discovered[-1].options != options:
        host = PluginHost(options)
        host.discover()
        _discovered[:] = [host]
    return _discovered[-1]


@contextlib.contextmanager
def use_host(host: PluginHost) -> Iterator[PluginHost]:
    """Make ``get_host`` return another host in this context, such as one for a test."""
    _used.append(host)
    try:
        yield host
    finally:
        _used.pop()

"""The plugin host: loads each installed plugin under guard, and answers by name.

One broken plugin never takes the others or the command line down: its error is kept in its status,
and raised only when something asks for what that plugin should have brought.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from typing import Any, TypeVar

import pluggy

from aigc_core.errors import PluginError, UserError, did_you_mean
from aigc_core.plugins import builtin, hookspecs
from aigc_core.plugins.catalogue import Kind
from aigc_core.plugins.compatibility import incompatibility
from aigc_core.plugins.guarded_import import MUST_PASS, describe, import_plugin
from aigc_core.plugins.hooks import check_hooks
from aigc_core.plugins.installed import InstalledPlugin, find_installed
from aigc_core.plugins.missing import missing
from aigc_core.plugins.options import HostOptions, host_options
from aigc_core.plugins.specs import DatasetSpec, MetricSpec, ModalitySpec, RecipeSpec
from aigc_core.plugins.status import PluginStatus

logger = logging.getLogger("aigc")
AnySpec = TypeVar("AnySpec", ModalitySpec, DatasetSpec, RecipeSpec, MetricSpec)


class PluginHost:
    """Knows every plugin and everything that plugins registered."""

    def __init__(self, options: HostOptions | None = None) -> None:
        """Begin with no plugin; ``options`` are those in use where none are given."""
        self.options = options or host_options()
        self.manager = pluggy.PluginManager(hookspecs.PROJECT)
        self.manager.add_hookspecs(hookspecs)
        self.statuses: dict[str, PluginStatus] = {}
        self.modalities: dict[str, ModalitySpec] = {}
        self.datasets: dict[str, DatasetSpec] = {}
        self.recipes: dict[str, RecipeSpec] = {}
        self.metrics = {spec.name: spec for spec in builtin.METRICS}
        # (kind, name) -> plugin
        self._owners = {("metric", name): builtin.OWNER for name in self.metrics}

    def discover(self, about_to_load: Callable[[str], None] = lambda key: None) -> None:
        """Load every installed plugin that may load, in the order of their names.

        Args:
            about_to_load: called with a plugin's key in ``statuses`` before its code runs; a
                ``PluginError`` that it raises stands for the plugin's own.

        Raises:
            PluginError: ``--no-plugins`` names what is not installed; with the option ``strict``:
                a plugin does not load, or warns.
        """
        self.options.check_names()
        for plugin in find_installed():
            self.load(plugin, about_to_load)
        for status in self.statuses.values() if self.options.strict else ():
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
        key = status.name
        while (other := self.statuses.get(key)) is not None:
            if (other.distribution, other.module) == (status.distribution, status.module):
                return other
            if other.state != "disabled":
                first, second = (s.distribution or s.module for s in (other, status))
                remove = f"aigc plugins uninstall {second}" if status.distribution else None
                status.fail(
                    "error",
                    f"The distributions {first} and {second} both bring a plugin named "
                    f"'{status.name}'; the first is used.",
                    remove,
                )
            key += "'"
        self.statuses[key] = status
        if blocked := self.options.blocked(plugin):
            status.fail("disabled", *blocked)
        elif status.state == "error":
            pass
        elif plugin.problem:
            fix = f"pip install --force-reinstall --no-deps {plugin.distribution}"
            status.fail("error", f"{plugin.distribution}: {plugin.problem}", fix)
        elif misfit := incompatibility(plugin):
            status.fail("incompatible", *misfit)
        else:
            try:
                about_to_load(key)
                module = import_plugin(status)
            except PluginError as error:
                status.fail("error", str(error), status.fix)
            else:
                self.register(module, status)
        return status

    def register(self, plugin: object, status: PluginStatus) -> None:
        """Register a loaded plugin and take its specs; an error is kept in ``status``."""
        self.statuses.setdefault(status.name, status)
        try:
            check_hooks(self.manager, plugin)
            known = self.manager.get_name(plugin)
            if known is not None:
                raise PluginError(f"{status.module} is registered already, as '{known}'.")
            self.manager.register(plugin, name=status.name)
            self._take_specs(plugin, status)
            status.hooks = [caller.name for caller in self.manager.get_hookcallers(plugin) or ()]
            if not status.hooks:
                empty = (
                    f"{status.module} implements no hook, so it brings nothing. Its author should "
                    "put @aigc_core.hookimpl above its functions."
                )
                status.warning = f"{status.warning} {empty}" if status.warning else empty
        except MUST_PASS:
            raise
        except BaseException as error:  # as at import
            if self.manager.get_plugin(status.name) is plugin:
                self.manager.unregister(name=status.name)
            self._forget(status)
            status.fail("error", str(error) if isinstance(error, UserError) else describe(error))

    def _take_specs(self, plugin: object, status: PluginStatus) -> None:
        kinds: list[tuple[Kind, str, type[Any], dict[str, Any], list[str]]] = [
            ("modality", "modalities", ModalitySpec, self.modalities, status.modalities),
            ("dataset", "datasets", DatasetSpec, self.datasets, status.datasets),
            ("recipe", "recipes", RecipeSpec, self.recipes, status.recipes),
            ("metric", "metrics", MetricSpec, self.metrics, status.metrics),
        ]
        for kind, plural, cls, table, names in kinds:
            hook = f"aigc_register_{plural}"
            for spec in self._call_register_hook(plugin, hook, cls):
                owner = self._owners.get((kind, spec.name))
                if owner == status.name:
                    raise PluginError(f"{hook} returned the {kind} '{spec.name}' twice.")
                if owner is not None:
                    raise PluginError(
                        f"The plugins '{owner}' and '{status.name}' both bring the {kind} "
                        f"'{spec.name}'; that of '{owner}' is used. Disable one of them."
                    )
                self._owners[kind, spec.name] = status.name
                table[spec.name] = spec
                names.append(spec.name)

    def _call_register_hook(self, plugin: object, hook: str, cls: type[AnySpec]) -> list[AnySpec]:
        specs: list[AnySpec] = []
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            if implementation.plugin is not plugin:
                continue
            try:
                returned = implementation.function()
            except Exception as error:
                raise PluginError(f"{hook} failed: {describe(error)}") from error
            if not isinstance(returned, list | tuple):
                raise PluginError(
                    f"{hook} must return a list of {cls.__name__}; found {type(returned).__name__}."
                )
            for spec in returned:
                if not isinstance(spec, cls):
                    raise PluginError(
                        f"{hook} must return a list of {cls.__name__}; "
                        f"one of its items is {type(spec).__name__}."
                    )
            specs.extend(returned)
        return specs

    def _forget(self, status: PluginStatus) -> None:
        tables: dict[str, dict[str, Any]] = {
            "modality": self.modalities,
            "dataset": self.datasets,
            "recipe": self.recipes,
            "metric": self.metrics,
        }
        for kind, name in [key for key, owner in self._owners.items() if owner == status.name]:
            del self._owners[kind, name]
            del tables[kind][name]
        status.modalities, status.datasets, status.recipes, status.metrics = [], [], [], []

    def recipe(self, name: str) -> RecipeSpec:
        """Return a recipe by name; raise ``PluginError`` that says how to get a missing one."""
        if name not in self.recipes:
            raise missing("recipe", name, self.recipes, self.statuses.values())
        return self.recipes[name]

    def dataset(self, name: str, modality: str) -> DatasetSpec:
        """Return a dataset of one modality by name; raise ``PluginError`` for a wrong one."""
        fitting = {n: s for n, s in self.datasets.items() if s.modality == modality}
        if name not in self.datasets:
            raise missing("dataset", name, fitting, self.statuses.values())
        spec = self.datasets[name]
        if spec.modality != modality:
            raise PluginError(
                f"The dataset '{name}' holds {spec.modality}, and the recipe makes {modality}."
                + did_you_mean(name, fitting)
            )
        return spec

    def modality(self, name: str) -> ModalitySpec:
        """Return a modality by name; raise ``PluginError`` for one that no plugin brings."""
        if name not in self.modalities:
            raise missing("modality", name, self.modalities, self.statuses.values())
        return self.modalities[name]

    def metric(self, name: str, modality: str) -> MetricSpec:
        """Return a metric for one modality by name; raise ``PluginError`` for a wrong one."""
        fitting = {n: s for n, s in self.metrics.items() if s.modality in (None, modality)}
        if name not in self.metrics:
            raise missing("metric", name, fitting, self.statuses.values())
        if name not in fitting:
            raise PluginError(
                f"The metric '{name}' is for {self.metrics[name].modality}, and the run makes "
                f"{modality}.{did_you_mean(name, fitting)}"
            )
        return fitting[name]

    def owner(self, kind: Kind, name: str) -> str:
        """Return the plugin that brought the modality, dataset, recipe or metric ``name``."""
        return self._owners[kind, name]

    def resolve(self, reference: str, owner: str) -> Any:
        """Import what a spec's ``"package.module:Name"`` names.

        Raises:
            PluginError: it cannot be imported or has no such name; names the plugin ``owner``.
        """
        module, _, attribute = reference.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (Exception, SystemExit) as error:
            if isinstance(error, MUST_PASS):
                raise
            raise PluginError(
                f"The plugin '{owner}' names {reference}, which cannot be loaded: {describe(error)}"
            ) from error

    def broken(self) -> list[PluginStatus]:
        """Return the plugins that should be active and could not be loaded."""
        return [status for status in self.statuses.values() if status.broken]

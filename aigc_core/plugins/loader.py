"""The plugin host: finds installed plugins, loads each under guard, and answers by name.

One broken plugin never takes the others or the command line down: its error is kept in its status,
and raised only when something asks for what that plugin should have brought.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pluggy

from aigc_core.errors import PluginError, UserError, did_you_mean
from aigc_core.plugins import hookspecs
from aigc_core.plugins.catalogue import load_catalogue
from aigc_core.plugins.specs import DatasetSpec, ModalitySpec, RecipeSpec

ENTRY_POINT_GROUP = "aigc.plugins"
AnySpec = TypeVar("AnySpec", ModalitySpec, DatasetSpec, RecipeSpec)


@dataclass
class PluginStatus:
    """One plugin, whether or not it could be loaded."""

    name: str
    module: str
    distribution: str | None = None
    version: str | None = None
    error: str | None = None
    modalities: list[str] = field(default_factory=list)
    datasets: list[str] = field(default_factory=list)
    recipes: list[str] = field(default_factory=list)

    @property
    def state(self) -> str:
        """``active`` or ``error``."""
        return "error" if self.error else "active"


class PluginHost:
    """Knows every plugin and everything that plugins registered."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(hookspecs.PROJECT)
        self.manager.add_hookspecs(hookspecs)
        self.statuses: dict[str, PluginStatus] = {}
        self.modalities: dict[str, ModalitySpec] = {}
        self.datasets: dict[str, DatasetSpec] = {}
        self.recipes: dict[str, RecipeSpec] = {}
        self._owners: dict[tuple[str, str], str] = {}  # (kind, name) -> plugin

    def discover(self) -> None:
        """Load every installed plugin, in the order of their names."""
        found = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
        for entry_point in sorted(found, key=lambda e: (e.name, e.value)):
            self.load(entry_point)

    def load(self, entry_point: importlib.metadata.EntryPoint) -> PluginStatus:
        """Import and register one plugin; an error is kept in the returned status."""
        distribution = entry_point.dist
        status = PluginStatus(
            name=entry_point.name,
            module=entry_point.value,
            distribution=distribution.name if distribution else None,
            version=distribution.version if distribution else None,
        )
        if entry_point.name in self.statuses:
            other = self.statuses[entry_point.name]
            if (other.distribution, other.module) == (status.distribution, status.module):
                return other  # the same metadata seen twice, from two folders of sys.path
            other.error = other.error or (
                f"Two distributions bring a plugin named '{status.name}': {other.distribution} "
                f"and {status.distribution}. Uninstall one of them."
            )
            return other
        self.statuses[entry_point.name] = status
        try:
            plugin = entry_point.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin may raise anything at import, SystemExit too
            status.error = f"Importing {entry_point.value} failed: {_describe(error)}"
            return status
        self.register(plugin, status)
        return status

    def register(self, plugin: object, status: PluginStatus) -> None:
        """Register a loaded plugin and take its specs; an error is kept in ``status``."""
        self.statuses[status.name] = status
        try:
            self._check_hook_names(plugin)
            self.manager.register(plugin, name=status.name)
        except (PluginError, pluggy.PluginValidationError, ValueError) as error:
            status.error = str(error)
            return
        try:
            self._take_specs(plugin, status)
        except Exception as error:
            self.manager.unregister(plugin)
            self._forget(status)
            status.error = str(error) if isinstance(error, UserError) else _describe(error)

    def _check_hook_names(self, plugin: object) -> None:
        """Raise for what pluggy accepts silently: an unknown hook, a hook that is not marked."""
        known = [name for name in vars(hookspecs) if name.startswith("aigc_")]
        for name in dir(plugin):
            marked = self.manager.parse_hookimpl_opts(plugin, name) is not None
            if marked and name not in known:
                raise PluginError(f"There is no hook '{name}'.{did_you_mean(name, known)}")
            if name in known and not marked:
                raise PluginError(f"'{name}' is not marked; put @aigc_core.hookimpl above it.")

    def _take_specs(self, plugin: object, status: PluginStatus) -> None:
        kinds: list[tuple[str, type[Any], dict[str, Any], list[str]]] = [
            ("modality", ModalitySpec, self.modalities, status.modalities),
            ("dataset", DatasetSpec, self.datasets, status.datasets),
            ("recipe", RecipeSpec, self.recipes, status.recipes),
        ]
        hooks = ("aigc_register_modalities", "aigc_register_datasets", "aigc_register_recipes")
        for hook, (kind, cls, table, names) in zip(hooks, kinds, strict=True):
            implementation = getattr(plugin, hook, None)
            for spec in implementation() if implementation else ():
                if not isinstance(spec, cls):
                    raise PluginError(
                        f"{hook} must return {cls.__name__}s; found {type(spec).__name__}."
                    )
                owner = self._owners.get((kind, spec.name))
                if owner is not None:
                    raise PluginError(
                        f"The {kind} '{spec.name}' is already brought by the plugin '{owner}'. "
                        f"Uninstall '{owner}' or '{status.name}'."
                    )
                self._owners[kind, spec.name] = status.name
                table[spec.name] = spec
                names.append(spec.name)

    def _forget(self, status: PluginStatus) -> None:
        for key in [key for key, owner in self._owners.items() if owner == status.name]:
            del self._owners[key]
            tables: dict[str, dict[str, Any]] = {
                "modality": self.modalities,
                "dataset": self.datasets,
                "recipe": self.recipes,
            }
            del tables[key[0]][key[1]]
        status.modalities, status.datasets, status.recipes = [], [], []

    def recipe(self, name: str) -> RecipeSpec:
        """Return a recipe by name; raise ``PluginError`` that says how to get a missing one."""
        if name in self.recipes:
            return self.recipes[name]
        provider = load_catalogue().provider_of(name)
        if provider is not None and provider not in self._distributions():
            raise PluginError(
                f"The recipe '{name}' needs the plugin {provider}, which is not installed. "
                f"Install it with: pip install {provider}"
            )
        raise self._missing("recipe", name, self.recipes)

    def dataset(self, name: str, modality: str) -> DatasetSpec:
        """Return a data set of one modality by name; raise ``PluginError`` for a wrong one."""
        spec = self.datasets.get(name)
        fitting = {n: s for n, s in self.datasets.items() if s.modality == modality}
        if spec is None:
            raise self._missing("dataset", name, fitting)
        if spec.modality != modality:
            raise PluginError(
                f"The dataset '{name}' holds {spec.modality}, and the recipe makes {modality}."
                + did_you_mean(name, fitting)
            )
        return spec

    def modality(self, name: str) -> ModalitySpec:
        """Return a modality by name; raise ``PluginError`` for one that no plugin brings."""
        if name not in self.modalities:
            raise self._missing("modality", name, self.modalities)
        return self.modalities[name]

    def owner(self, kind: str, name: str) -> str:
        """Return the plugin that brought the ``modality``, ``dataset`` or ``recipe`` ``name``."""
        return self._owners[kind, name]

    def resolve(self, reference: str, owner: str) -> Any:
        """Import what a spec's ``"package.module:Name"`` names.

        Raises:
            PluginError: it cannot be imported or has no such name; names the plugin ``owner``.
        """
        module, _, attribute = reference.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except Exception as error:
            raise PluginError(
                f"The plugin '{owner}' names {reference}, which cannot be loaded: "
                f"{_describe(error)}"
            ) from error

    def broken(self) -> list[PluginStatus]:
        """Return the plugins that could not be loaded."""
        return [status for status in self.statuses.values() if status.error]

    def _distributions(self) -> set[str | None]:
        return {status.distribution for status in self.statuses.values()}

    def _missing(self, kind: str, name: str, valid: Mapping[str, object]) -> PluginError:
        message = f"There is no {kind} '{name}'.{did_you_mean(name, valid)}"
        if not valid and not self.statuses:
            message = (
                f"There is no {kind} '{name}': no plugin is installed. "
                "See what there is with: aigc modalities"
            )
        for status in self.broken():
            message += f" (The plugin '{status.name}' could not be loaded: {status.error})"
        return PluginError(message)


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


@functools.cache
def get_host() -> PluginHost:
    """Return this process's host, with every installed plugin loaded on the first call."""
    host = PluginHost()
    host.discover()
    return host

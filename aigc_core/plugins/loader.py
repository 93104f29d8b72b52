"""The plugin host: finds installed plugins, loads each under guard, and answers by name.

One broken plugin never takes the others or the command line down: its error is kept in its status,
and raised only when something asks for what that plugin should have brought.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pluggy
from pydantic import ValidationError

from aigc_core.complaints import first_complaint
from aigc_core.errors import (
    ConfigError,
    PluginError,
    UserError,
    did_you_mean,
    shown,
)
from aigc_core.plugins import hookspecs
from aigc_core.plugins.catalogue import Kind, load_catalogue
from aigc_core.plugins.hooks import check_hooks
from aigc_core.plugins.specs import DatasetSpec, ModalitySpec, RecipeSpec

logger = logging.getLogger("aigc")
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
        distribution, version = _distribution(entry_point)
        status = PluginStatus(entry_point.name, entry_point.value, distribution, version)
        key = status.name
        while (other := self.statuses.get(key)) is not None:
            if (other.distribution, other.module) == (status.distribution, status.module):
                return other  # the same metadata seen twice, from two folders of sys.path
            status.error = (
                f"The distribution {self.statuses[status.name].distribution} brings a plugin "
                f"named '{status.name}' too, and comes first. Uninstall one of them."
            )
            key += "'"
        self.statuses[key] = status
        if status.error:
            return status
        try:
            plugin = entry_point.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin may raise anything at import, SystemExit too
            logger.debug("Traceback of the plugin '%s':", status.name, exc_info=error)
            status.error = f"Importing {entry_point.value} failed: {_describe(error)}"
            return status
        self.register(plugin, status)
        return status

    def register(self, plugin: object, status: PluginStatus) -> None:
        """Register a loaded plugin and take its specs; an error is kept in ``status``."""
        self.statuses[status.name] = status
        try:
            check_hooks(self.manager, plugin)
            known = self.manager.get_name(plugin)
            if known is not None:
                raise PluginError(f"{status.module} is registered already, as '{known}'.")
            self.manager.register(plugin, name=status.name)
            self._take_specs(plugin, status)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # as at import
            if self.manager.has_plugin(status.name):
                self.manager.unregister(name=status.name)
            self._forget(status)
            status.error = str(error) if isinstance(error, UserError) else _describe(error)

    def _take_specs(self, plugin: object, status: PluginStatus) -> None:
        kinds: list[tuple[Kind, type[Any], dict[str, Any], list[str]]] = [
            ("modality", ModalitySpec, self.modalities, status.modalities),
            ("dataset", DatasetSpec, self.datasets, status.datasets),
            ("recipe", RecipeSpec, self.recipes, status.recipes),
        ]
        hooks = ("aigc_register_modalities", "aigc_register_datasets", "aigc_register_recipes")
        for hook, (kind, cls, table, names) in zip(hooks, kinds, strict=True):
            for spec in self._call_register_hook(plugin, hook, cls):
                owner = self._owners.get((kind, spec.name))
                if owner == status.name:
                    raise PluginError(f"{hook} returned the {kind} '{spec.name}' twice.")
                if owner is not None:
                    raise PluginError(
                        f"The {kind} '{spec.name}' is already brought by the plugin '{owner}'. "
                        f"Uninstall '{owner}' or '{status.name}'."
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
                raise PluginError(f"{hook} failed: {_describe(error)}") from error
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
        }
        for kind, name in [key for key, owner in self._owners.items() if owner == status.name]:
            del self._owners[kind, name]
            del tables[kind][name]
        status.modalities, status.datasets, status.recipes = [], [], []

    def recipe(self, name: str) -> RecipeSpec:
        """Return a recipe by name; raise ``PluginError`` that says how to get a missing one."""
        if name in self.recipes:
            return self.recipes[name]
        raise self._missing("recipe", name, self.recipes)

    def dataset(self, name: str, modality: str) -> DatasetSpec:
        """Return a dataset of one modality by name; raise ``PluginError`` for a wrong one."""
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
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"The plugin '{owner}' names {reference}, which cannot be loaded: "
                f"{_describe(error)}"
            ) from error

    def broken(self) -> list[PluginStatus]:
        """Return the plugins that could not be loaded."""
        return [status for status in self.statuses.values() if status.error]

    def _missing(self, kind: Kind, name: str, valid: Mapping[str, object]) -> PluginError:
        provider = _catalogued_provider(kind, name)
        installed = {_normal(s.distribution) for s in self.statuses.values() if s.distribution}
        if provider is not None and provider not in installed:
            return PluginError(
                f"The {kind} '{name}' needs the plugin {provider}, which is not installed. "
                f"Install it with: pip install {provider}"
            )
        message = f"There is no {kind} '{name}'.{did_you_mean(name, valid)}"
        if not valid and not self.statuses:
            message = (
                f"There is no {kind} '{name}': no plugin is installed. "
                "See what there is with: aigc modalities"
            )
        for status in self.broken():
            message += f" (The plugin '{status.name}' could not be loaded: {status.error})"
        return PluginError(message)


def _catalogued_provider(kind: Kind, name: str) -> str | None:
    try:
        return load_catalogue().provider_of(kind, name)
    except ConfigError:  # a faulty catalogue must not hide what is missing; `aigc doctor` tells
        return None


def _normal(distribution: str) -> str:
    """Return a distribution's name as PyPA normalises it: ``Aigc_Image`` is ``aigc-image``."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _distribution(entry_point: importlib.metadata.EntryPoint) -> tuple[str | None, str | None]:
    """Return name and version; a half removed installation has files without either."""
    try:
        found = entry_point.dist
        return (found.name, found.version) if found else (None, None)
    except Exception:
        return None, None


def _describe(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        complaint = first_complaint(error, None)
        where = f"{complaint.key}={shown(complaint.value)}: " if complaint.path else ""
        return f"{error.title} is not valid: {where}{complaint.problem}"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


_hosts: list[PluginHost] = []


def get_host() -> PluginHost:
    """Return this process's host, with every installed plugin loaded on the first call."""
    if not _hosts:
        host = PluginHost()
        host.discover()
        _hosts.append(host)
    return _hosts[-1]


@contextlib.contextmanager
def use_host(host: PluginHost) -> Iterator[PluginHost]:
    """Let ``get_host`` return another host inside, such as one with a single plugin for a test."""
    _hosts.append(host)
    try:
        yield host
    finally:
        _hosts.remove(host)

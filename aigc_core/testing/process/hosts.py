"""Describes a host as data, so that another process can recreate it."""

from __future__ import annotations

import types
from typing import Any

from aigc_core.plugins import (
    DatasetSpec,
    MetricSpec,
    ModalitySpec,
    PluginHost,
    PluginStatus,
    RecipeSpec,
    hookimpl,
)
from aigc_core.testing.process.isolation import IsolatedHost, load_module
from aigc_core.testing.results import Unavailable


class Specs:
    """A plugin that registers the given specs."""

    def __init__(self, specs: dict[str, list[dict[str, Any]]]) -> None:
        self._specs = specs

    @hookimpl
    def aigc_register_modalities(self) -> list[ModalitySpec]:
        return [ModalitySpec.model_validate(spec) for spec in self._specs["modalities"]]

    @hookimpl
    def aigc_register_datasets(self) -> list[DatasetSpec]:
        return [DatasetSpec.model_validate(spec) for spec in self._specs["datasets"]]

    @hookimpl
    def aigc_register_metrics(self) -> list[MetricSpec]:
        return [MetricSpec.model_validate(spec) for spec in self._specs["metrics"]]

    @hookimpl
    def aigc_register_recipes(self) -> list[RecipeSpec]:
        return [RecipeSpec.model_validate(spec) for spec in self._specs["recipes"]]


def describe_host(host: PluginHost, plugin: str) -> list[dict[str, Any]]:
    """Return, as JSON data, what another process needs to recreate a host.

    ``plugin`` is given as the module that its entry point names, so with its observers; the others,
    and a plugin that was registered as an object, are given as their specs.
    """
    tables: list[tuple[str, dict[str, Any]]] = [
        ("modalities", host.modalities),
        ("datasets", host.datasets),
        ("recipes", host.recipes),
        ("metrics", host.metrics),
    ]
    plugins = []
    for status in host.statuses:
        if status.state != "active":
            continue
        specs = {
            kind: [table[name].model_dump(mode="json") for name in getattr(status, kind)]
            for kind, table in tables
        }
        module = entry_module(host, status) if status.name == plugin else None
        plugins.append({"name": status.name, "module": module, "specs": specs})
    return plugins


def entry_module(host: PluginHost, status: PluginStatus) -> str | None:
    """Return what an entry point names or could name for a plugin; None for an object."""
    plugin = host.manager.get_plugin(status.name)
    if plugin is None or status.distribution is not None:
        return status.module
    return plugin.__name__ if isinstance(plugin, types.ModuleType) else None


def make_host(plugins: list[dict[str, Any]]) -> PluginHost:
    """Make the host that ``describe_host`` described; raise ``Unavailable`` if a plugin fails."""
    host = IsolatedHost()
    for described in plugins:
        name, module = described["name"], described["module"]
        if module is not None:
            status = load_module(host, name, module)
        else:
            status = host.add(Specs(described["specs"]), name)
        if status.state != "active":
            raise Unavailable(
                f"In a process of its own the plugin '{name}' is not active: {status.error}"
            )
    return host

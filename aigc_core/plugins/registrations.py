"""What plugins registered: specs by kind and name, each with its owner."""

from __future__ import annotations

from typing import Any

import pluggy

from aigc_core.errors import PluginError
from aigc_core.plugins import builtin
from aigc_core.plugins.catalogue import Kind
from aigc_core.plugins.guarded_import import describe
from aigc_core.plugins.specs import DatasetSpec, MetricSpec, ModalitySpec, RecipeSpec
from aigc_core.plugins.status import PluginStatus

_KINDS: dict[Kind, tuple[str, type[Any]]] = {
    "modality": ("modalities", ModalitySpec),
    "dataset": ("datasets", DatasetSpec),
    "recipe": ("recipes", RecipeSpec),
    "metric": ("metrics", MetricSpec),
}


class Registrations:
    """Specs in tables by kind; each name has one owner."""

    def __init__(self) -> None:
        self.tables: dict[Kind, dict[str, Any]] = {kind: {} for kind in _KINDS}
        self._owners: dict[tuple[Kind, str], str] = {}
        for spec in builtin.METRICS:
            self.tables["metric"][spec.name] = spec
            self._owners["metric", spec.name] = builtin.OWNER

    def owner(self, kind: Kind, name: str) -> str:
        """Return the name of the plugin that registered something."""
        return self._owners[kind, name]

    def take(self, manager: pluggy.PluginManager, plugin: object, status: PluginStatus) -> None:
        """Call a plugin's ``aigc_register_…`` hooks and keep what they return.

        Raises:
            PluginError: a hook failed, returned something other than specs, or a name that is
                taken. Some specs may be registered by then; ``forget`` removes them.
        """
        for kind, (plural, cls) in _KINDS.items():
            hook = f"aigc_register_{plural}"
            for spec in _returned(manager, plugin, hook, cls):
                owner = self._owners.get((kind, spec.name))
                if owner == status.name:
                    raise PluginError(f"{hook} returned the {kind} '{spec.name}' twice.")
                if owner is not None:
                    raise PluginError(
                        f"The plugins '{owner}' and '{status.name}' both bring the {kind} "
                        f"'{spec.name}'; that of '{owner}' is used. Rename one, or choose: aigc "
                        f"plugins disable {owner}, or aigc plugins disable {status.name}."
                    )
                self._owners[kind, spec.name] = status.name
                self.tables[kind][spec.name] = spec
                getattr(status, plural).append(spec.name)

    def forget(self, status: PluginStatus) -> None:
        """Remove everything that a plugin registered."""
        for kind, name in [key for key, owner in self._owners.items() if owner == status.name]:
            del self._owners[kind, name]
            del self.tables[kind][name]
        status.modalities, status.datasets, status.recipes, status.metrics = [], [], [], []


def _returned(
    manager: pluggy.PluginManager, plugin: object, hook: str, cls: type[Any]
) -> list[Any]:
    """Call a plugin's implementations of a hook and return their specs."""
    specs: list[Any] = []
    for implementation in getattr(manager.hook, hook).get_hookimpls():
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

"""Merges layers of settings into one validated configuration that remembers each value's source.

Precedence, lowest first: the fields' own defaults, the recipe's defaults, the preset, the
``--config`` file, ``--set`` and its shorthand flags.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from aigc_core.config.explain import Section, explain, origin_of, source_of
from aigc_core.config.layers import Layer, check_sections, leaves, merge
from aigc_core.config.schema import DatasetConfig, EngineConfig, RunConfig
from aigc_core.errors import (
    ConfigError,
    PluginError,
    did_you_mean,
    shown,
)
from aigc_core.interfaces.config import ConfigModel
from aigc_core.plugins import PluginHost, RecipeSpec


@dataclass(frozen=True)
class ResolvedConfig:
    """A valid configuration, and the name of the layer that set each dotted key."""

    config: RunConfig
    sources: Mapping[str, str]


def resolve_config(
    host: PluginHost, recipe: str, *, preset: str | None = None, layers: Sequence[Layer] = ()
) -> ResolvedConfig:
    """Merge the layers of settings and validate the result.

    Args:
        host: the host with the recipe and the datasets.
        recipe: a recipe's name.
        preset: one of the recipe's presets, or None.
        layers: settings that override the preset, weakest first.

    Raises:
        PluginError: no such recipe or dataset.
        ConfigError: an unknown preset or key, or an invalid value; names the key, its owner, the
            value's source, and the nearest valid name.
    """
    spec = host.recipe(recipe)
    stack = [Layer("recipe", {"dataset": {"name": spec.dataset}}), Layer("recipe", spec.defaults)]
    if preset is not None:
        if preset not in spec.presets:
            raise ConfigError(
                f"The recipe '{recipe}' has no preset '{preset}'."
                + did_you_mean(preset, spec.presets)
            )
        stack.append(Layer(f"preset {preset}", spec.presets[preset]))
    stack.extend(layers)

    merged: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for layer in map(check_sections, stack):
        values = _one_of_two(layer)
        if _names_another_dataset(merged, values):
            merged = {**merged, "dataset": {**merged["dataset"], "options": {}}}
            sources = _without(sources, "dataset.options")
        merged = merge(merged, values)
        for key, value in leaves(values):
            if value != {}:
                sources = {**_without(sources, key), key: layer.source}
    sections = _sections(host, spec, merged, sources)
    parts = {s.key: _validate(s, merged.get(s.key, {}), sources, sections) for s in sections}
    options = parts.pop("dataset.options", None)
    config = RunConfig(
        recipe=recipe,
        preset=preset,
        dataset=parts["dataset"].model_copy(update={"options": options}),
        model=parts["model"],
        trainer=parts["trainer"],
        engine=parts["engine"],
    )
    complete = {key: source_of(key, sources) or "default" for key, _ in leaves(config.to_dict())}
    return ResolvedConfig(config, complete)


def _one_of_two(layer: Layer) -> dict[str, Any]:
    """Let a layer's ``steps`` clear a weaker layer's ``epochs``, and vice versa.

    The same goes for the two bounds of a standard.
    """
    values = dict(layer.values)
    engine = values.get("engine")
    if isinstance(engine, Mapping):
        engine = _without_other(engine, ("steps", "epochs"))
        if isinstance(engine.get("standard"), Mapping):
            bounds = ("at_most", "at_least")
            engine["standard"] = _without_other(engine["standard"], bounds)
        values["engine"] = engine
    return values


def _without_other(values: Mapping[str, Any], pair: tuple[str, str]) -> dict[str, Any]:
    given = [key for key in pair if values.get(key) is not None]
    if len(given) != 1:
        return dict(values)
    return {**values, pair[1 - pair.index(given[0])]: None}


def _names_another_dataset(merged: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Whether the weaker layers' ``dataset.options`` are for a different dataset."""
    old = merged.get("dataset", {}).get("name")
    return bool(merged) and values.get("dataset", {}).get("name", old) != old


def _without(sources: dict[str, str], key: str) -> dict[str, str]:
    """Drop a key, all keys below it, and any parent key whose value it replaces."""
    return {
        k: s
        for k, s in sources.items()
        if not f"{k}.".startswith(f"{key}.") and not key.startswith(f"{k}.")
    }


def _sections(
    host: PluginHost, spec: RecipeSpec, merged: dict[str, Any], sources: Mapping[str, str]
) -> list[Section]:
    plugin = host.owner("recipe", spec.name)
    by_recipe = f"the recipe '{spec.name}' (plugin {plugin})"
    sections = [
        Section("model", _schema(host, spec.model, plugin), by_recipe),
        Section("trainer", _schema(host, spec.trainer, plugin), by_recipe),
        Section("engine", EngineConfig, "the engine"),
        Section("dataset", DatasetConfig, "the core"),
    ]
    dataset = dict(merged["dataset"])
    options = dataset.pop("options", None)
    merged["dataset"] = dataset
    name = dataset.get("name")
    if not isinstance(name, str):
        raise ConfigError(
            f"dataset.name={shown(name)}{origin_of('dataset.name', sources)} is not valid: "
            "it should be the name of a dataset, see: aigc datasets"
        )
    dataset_spec = host.dataset(name, spec.modality)
    plugin = host.owner("dataset", name)
    by_dataset = f"the dataset '{name}' (plugin {plugin})"
    if dataset_spec.options is not None:
        schema = _schema(host, dataset_spec.options, plugin)
        sections.append(Section("dataset.options", schema, by_dataset))
        merged["dataset.options"] = options if options is not None else {}
    elif options not in (None, {}):
        raise ConfigError(
            f"{by_dataset[0].upper()}{by_dataset[1:]} has no options; remove 'dataset.options'"
            f"{origin_of('dataset.options', sources)}."
        )
    return sections


def _schema(host: PluginHost, reference: str, plugin: str) -> type[ConfigModel]:
    schema = host.resolve(reference, plugin)
    if not (isinstance(schema, type) and issubclass(schema, ConfigModel)):
        raise PluginError(
            f"The plugin '{plugin}' names {reference} for its settings, which is not a class "
            "derived from aigc_core.ConfigModel."
        )
    return schema


def _over_defaults(schema: type[ConfigModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in a partly given group of settings from the default of the field that holds it.

    ``trainer.optimizer.lr=1e-4`` must change nothing else, and a trainer's default for its
    optimiser differs from the defaults of the optimiser's own class.
    """
    filled = dict(values)
    for name, field in schema.model_fields.items():
        if isinstance(field.default, ConfigModel) and isinstance(values.get(name), Mapping):
            filled[name] = merge(field.default.model_dump(), values[name])
    return filled


def _validate(
    section: Section, values: Any, sources: Mapping[str, str], sections: Sequence[Section]
) -> Any:
    if not isinstance(values, Mapping):
        raise ConfigError(
            f"'{section.key}' must hold keys of its own, found {shown(values)}"
            f"{origin_of(section.key, sources)}."
        )
    try:
        return section.schema.model_validate(_over_defaults(section.schema, values))
    except ValidationError as error:
        raise ConfigError(explain(section, error, values, sources, sections)) from None

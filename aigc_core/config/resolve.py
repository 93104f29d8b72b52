"""From layers of settings to one validated configuration that remembers where values came from.

Precedence, lowest first: the fields' own defaults, the recipe's defaults, the preset, the
``--config`` file, ``--set`` and the flags that are short for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from aigc_core.config.layers import Layer, leaves, merge
from aigc_core.config.schema import DatasetConfig, EngineConfig, RunConfig
from aigc_core.errors import ConfigError, did_you_mean
from aigc_core.interfaces.config import ConfigModel
from aigc_core.plugins import PluginHost, RecipeSpec


@dataclass(frozen=True)
class ResolvedConfig:
    """A valid configuration, and for every dotted key the name of the layer that set it."""

    config: RunConfig
    sources: Mapping[str, str]


@dataclass(frozen=True)
class _Section:
    """A part of the configuration: its schema, and who owns it."""

    key: str
    schema: type[BaseModel]
    owner: str


def resolve_config(
    host: PluginHost, recipe: str, *, preset: str | None = None, layers: Sequence[Layer] = ()
) -> ResolvedConfig:
    """Lay the settings over one another and validate them.

    Args:
        host: knows the recipe and the data sets.
        recipe: a recipe's name.
        preset: one of the recipe's presets, or None.
        layers: settings over the preset, weakest first.

    Raises:
        PluginError: no such recipe or data set.
        ConfigError: an unknown preset or key, or a value that is not valid; names the key, its
            owner, where the value came from, and the nearest valid name.
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
    for layer in stack:
        values = _one_length(layer)
        merged = merge(_without_other_options(merged, values), values)
        for key, _ in leaves(values):
            sources[key] = layer.source
    sections = _sections(host, spec, merged)
    parts = {s.key: _validate(s, merged.get(s.key, {}), sources) for s in sections}
    options = parts.pop("dataset.options", None)
    config = RunConfig(
        recipe=recipe,
        preset=preset,
        dataset=parts["dataset"].model_copy(update={"options": options}),
        model=parts["model"],
        trainer=parts["trainer"],
        engine=parts["engine"],
    )
    complete = {key: sources.get(key, "default") for key, _ in leaves(config.to_dict())}
    return ResolvedConfig(config, complete)


def _one_length(layer: Layer) -> dict[str, Any]:
    """Let a layer's ``steps`` clear a weaker layer's ``epochs``, and the other way round."""
    engine = layer.values.get("engine")
    values = dict(layer.values)
    if isinstance(engine, Mapping):
        given = [k for k in ("steps", "epochs") if engine.get(k) is not None]
        if len(given) == 1:
            other = "epochs" if given == ["steps"] else "steps"
            values["engine"] = {**engine, other: None}
    return values


def _without_other_options(merged: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Drop weaker layers' ``dataset.options`` when a layer names another data set."""
    old, new = merged.get("dataset", {}), values.get("dataset", {})
    if isinstance(new, Mapping) and new.get("name", old.get("name")) != old.get("name"):
        return {**merged, "dataset": {k: v for k, v in old.items() if k != "options"}}
    return merged


def _sections(host: PluginHost, spec: RecipeSpec, merged: dict[str, Any]) -> list[_Section]:
    recipe_owner = host.owner("recipe", spec.name)
    model = host.resolve(spec.model, recipe_owner)
    trainer = host.resolve(spec.trainer, recipe_owner)
    by_recipe = f"the recipe '{spec.name}' (plugin {recipe_owner})"
    sections = [
        _Section("model", model, by_recipe),
        _Section("trainer", trainer, by_recipe),
        _Section("engine", EngineConfig, "the engine"),
        _Section("dataset", DatasetConfig, "the core"),
    ]
    dataset = dict(merged["dataset"])
    options = dataset.pop("options", None)
    merged["dataset"] = dataset
    name = dataset.get("name")
    if not isinstance(name, str):
        raise ConfigError(f"dataset.name must be a name, found {name!r:.40}.")
    dataset_spec = host.dataset(name, spec.modality)
    owner = host.owner("dataset", name)
    by_dataset = f"the dataset '{name}' (plugin {owner})"
    if dataset_spec.options is not None:
        schema = host.resolve(dataset_spec.options, owner)
        sections.append(_Section("dataset.options", schema, by_dataset))
        merged["dataset.options"] = options if options is not None else {}
    elif options:
        raise ConfigError(f"{by_dataset[0].upper()}{by_dataset[1:]} has no options; remove them.")
    return sections


def _validate(section: _Section, values: Any, sources: Mapping[str, str]) -> Any:
    if not isinstance(values, Mapping):
        raise ConfigError(f"'{section.key}' must hold keys of its own, found {values!r:.40}.")
    try:
        return section.schema.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError(_explain(section, error, sources)) from None


def _explain(section: _Section, error: ValidationError, sources: Mapping[str, str]) -> str:
    """Turn pydantic's first complaint into a sentence."""
    first = error.errors(include_url=False)[0]
    path = [str(part) for part in first["loc"]]
    key = ".".join([section.key, *path])
    source = next((s for k, s in sources.items() if k == key or k.startswith(f"{key}.")), None)
    told = f" (from {source})" if source else ""
    if first["type"] == "extra_forbidden":
        schema = _schema_at(section.schema, path[:-1])
        valid = [".".join([section.key, *path[:-1], name]) for name in schema.model_fields]
        return (
            f"There is no setting '{key}'{told}; '{section.key}.*' belongs to {section.owner}."
            + did_you_mean(key, valid)
        )
    problem = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return f"'{key}' is missing; '{section.key}.*' belongs to {section.owner}."
    if not path:
        return f"{section.key}: {problem}."
    return f"{key}={_short(first['input'])}{told} is not valid: {problem}."


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _schema_at(schema: type[BaseModel], path: Sequence[str]) -> type[BaseModel]:
    for part in path:
        annotation = schema.model_fields[part].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, ConfigModel)):
            break
        schema = annotation
    return schema

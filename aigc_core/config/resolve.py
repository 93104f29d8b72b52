"""From layers of settings to one validated configuration that remembers where values came from.

Precedence, lowest first: the fields' own defaults, the recipe's defaults, the preset, the
``--config`` file, ``--set`` and the flags that are short for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import ValidationError

from aigc_core.config.layers import Layer, check_sections, leaves, merge
from aigc_core.config.schema import DatasetConfig, EngineConfig, RunConfig
from aigc_core.errors import (
    ConfigError,
    PluginError,
    did_you_mean,
    first_complaint,
    nearest,
    shown,
)
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
    schema: type[ConfigModel]
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
    for layer in map(check_sections, stack):
        values = _one_length(layer)
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
    complete = {key: _source(key, sources) or "default" for key, _ in leaves(config.to_dict())}
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


def _names_another_dataset(merged: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Whether weaker layers' ``dataset.options`` were for another data set."""
    old = merged.get("dataset", {}).get("name")
    return bool(merged) and values.get("dataset", {}).get("name", old) != old


def _without(sources: dict[str, str], key: str) -> dict[str, str]:
    """Drop a key and the keys below it."""
    return {k: s for k, s in sources.items() if k != key and not k.startswith(f"{key}.")}


def _source(key: str, sources: Mapping[str, str]) -> str | None:
    """Return the layer that set a key, something above it (a list, say) or else below it."""
    above = key.split(".")
    while above:
        if (known := ".".join(above)) in sources:
            return sources[known]
        above.pop()
    below = [source for k, source in sources.items() if k.startswith(f"{key}.")]
    return below[-1] if below else None


def _sections(
    host: PluginHost, spec: RecipeSpec, merged: dict[str, Any], sources: Mapping[str, str]
) -> list[_Section]:
    plugin = host.owner("recipe", spec.name)
    by_recipe = f"the recipe '{spec.name}' (plugin {plugin})"
    sections = [
        _Section("model", _schema(host, spec.model, plugin), by_recipe),
        _Section("trainer", _schema(host, spec.trainer, plugin), by_recipe),
        _Section("engine", EngineConfig, "the engine"),
        _Section("dataset", DatasetConfig, "the core"),
    ]
    dataset = dict(merged["dataset"])
    options = dataset.pop("options", None)
    merged["dataset"] = dataset
    name = dataset.get("name")
    if not isinstance(name, str):
        raise ConfigError(
            f"dataset.name={shown(name)}{_told('dataset.name', sources)} is not valid: "
            "it should be the name of a data set, see: aigc datasets"
        )
    dataset_spec = host.dataset(name, spec.modality)
    plugin = host.owner("dataset", name)
    by_dataset = f"the dataset '{name}' (plugin {plugin})"
    if dataset_spec.options is not None:
        schema = _schema(host, dataset_spec.options, plugin)
        sections.append(_Section("dataset.options", schema, by_dataset))
        merged["dataset.options"] = options if options is not None else {}
    elif options not in (None, {}):
        raise ConfigError(
            f"{by_dataset[0].upper()}{by_dataset[1:]} has no options; remove 'dataset.options'"
            f"{_told('dataset.options', sources)}."
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


def _validate(
    section: _Section, values: Any, sources: Mapping[str, str], sections: Sequence[_Section]
) -> Any:
    if not isinstance(values, Mapping):
        raise ConfigError(
            f"'{section.key}' must hold keys of its own, found {shown(values)}"
            f"{_told(section.key, sources)}."
        )
    try:
        return section.schema.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError(_explain(section, error, values, sources, sections)) from None


def _explain(
    section: _Section,
    error: ValidationError,
    values: Mapping[str, Any],
    sources: Mapping[str, str],
    sections: Sequence[_Section],
) -> str:
    """Turn pydantic's first complaint into a sentence."""
    complaint = first_complaint(error, values)
    key = f"{section.key}.{complaint.key}" if complaint.path else section.key
    plain_key = ".".join([section.key, *(p for p in complaint.path if isinstance(p, str))])
    told = _told(plain_key, sources)
    owned = f"'{section.key}.*' belongs to {section.owner}."
    if complaint.kind == "extra_forbidden":
        hint = _nearest_setting(section, complaint.path, key, sections)
        return f"There is no setting '{key}'{told}; {owned}{hint}"
    if complaint.kind == "missing":
        return f"The setting '{key}' is missing; {owned} Give it with: --set {key}=VALUE"
    if complaint.kind in ("value_error", "assertion_error") and isinstance(
        complaint.value, Mapping | ConfigModel
    ):
        return f"{key}: {complaint.problem}{_mentioned(key, complaint.problem, sources)}."
    if isinstance(complaint.value, Mapping) and complaint.value and complaint.path:
        below = next(leaves(complaint.value, f"{key}."))[0]
        return (
            f"There is no setting '{below}'{told}: '{key}' is a value itself, "
            f"and {complaint.problem}."
        )
    return f"{key}={shown(complaint.value)}{told} is not valid: {complaint.problem}."


def _told(key: str, sources: Mapping[str, str]) -> str:
    source = _source(key, sources)
    return f" (from {source})" if source else ""


def _mentioned(key: str, problem: str, sources: Mapping[str, str]) -> str:
    """Say where the settings came from that a complaint about several of them names."""
    words = [f"{key}.{word}" for word in dict.fromkeys(re.findall(r"\w+", problem))]
    told = [f"{name} from {sources[name]}" for name in words if name in sources]
    return f" ({', '.join(told)})" if told else ""


def _nearest_setting(
    section: _Section, path: Sequence[str | int], key: str, sections: Sequence[_Section]
) -> str:
    """Look among the neighbours of an unknown key, then for its last part anywhere."""
    name = str(path[-1])
    above = key.removesuffix(f".{name}")
    if "." in name:
        first, _, rest = name.partition(".")
        return f" In a file, write '{rest}:' below '{first}:'."
    names = [
        field for model in _models_at(section.schema, path[:-1]) for field in model.model_fields
    ]
    close = nearest(name, names)
    if close is not None:
        return f" Did you mean '{above}.{close}'?"
    every = [k for s in sections for k in _every_key(s.schema, s.key)]
    elsewhere = [k for k in every if k.split(".")[-1] == name]
    if elsewhere:
        return f" Did you mean {' or '.join(repr(k) for k in elsewhere)}?"
    if not names:
        return " It has no settings."
    return f" Valid: {', '.join(f'{above}.{field}' for field in sorted(names))}."


def _models_at(schema: type[ConfigModel], path: Sequence[str | int]) -> list[type[ConfigModel]]:
    """Return the models that may stand at a path, through lists, mappings and unions."""
    models = [schema]
    for part in path:
        fields = [m.model_fields[part] for m in models if part in m.model_fields]
        if fields:  # else a position of a list or a key of a mapping
            models = [m for field in fields for m in _models_in(field.annotation)]
    return models


def _models_in(annotation: Any) -> list[type[ConfigModel]]:
    if isinstance(annotation, type) and issubclass(annotation, ConfigModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]


def _every_key(schema: type[ConfigModel], prefix: str) -> Iterator[str]:
    for name, field in schema.model_fields.items():
        key = f"{prefix}.{name}"
        yield key
        if isinstance(field.annotation, type) and issubclass(field.annotation, ConfigModel):
            yield from _every_key(field.annotation, key)

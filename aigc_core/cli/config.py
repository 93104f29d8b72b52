"""``aigc config show``, ``aigc config init`` and ``aigc config schema``."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping
from typing import Annotated, Any

import typer
import yaml

from aigc_core.cli.output import JsonOption, print_json, print_listing
from aigc_core.cli.settings import ConfigOption, DatasetOption, PresetOption, SetOption, layers_from
from aigc_core.config import DatasetConfig, EngineConfig, RunConfig, resolve_config
from aigc_core.config.descriptions import described_fields, described_schema
from aigc_core.config.layers import SECTIONS, leaves
from aigc_core.plugins import get_host

RecipeArgument = Annotated[str, typer.Argument(help="See `aigc recipes`.")]


def add_commands(app: typer.Typer, name: str) -> None:
    """Add this file's commands."""
    group = typer.Typer(no_args_is_help=True, help="What can be set, and what is.")
    group.command()(show)
    group.command()(init)
    group.command()(schema)
    app.add_typer(group, name="config")


def show(
    recipe: RecipeArgument,
    dataset: DatasetOption = None,
    preset: PresetOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show every setting of a recipe, and where its value comes from.

    Settings, weakest first: defaults, the recipe's own, --preset, --config, the command line.
    """
    layers = layers_from(config, set_, dataset)
    resolved = resolve_config(get_host(), recipe, preset=preset, layers=layers)
    values = resolved.config.to_dict()
    meanings = _meanings(resolved.config)
    if as_json:
        descriptions = {key: meanings[key] for key, _ in leaves(values) if key in meanings}
        sources = dict(resolved.sources)
        print_json({"config": values, "sources": sources, "descriptions": descriptions})
        return
    rows = [
        {
            "setting": key,
            "value": value,
            "from": resolved.sources[key],
            "meaning": " ".join(meanings.get(key, "").split()),
        }
        for key, value in leaves(values)
        if "." in key
    ]
    print_listing(rows, ["setting", "value", "from", "meaning"], False)


def init(
    recipe: RecipeArgument,
    dataset: DatasetOption = None,
    preset: PresetOption = None,
    set_: SetOption = None,
) -> None:
    """Print a configuration file of every setting, with its meaning.

    Edit it and pass it to `aigc train --config`. For example:
    aigc config init image/dcgan > my.yaml
    """
    layers = layers_from(None, set_, dataset)
    config = resolve_config(get_host(), recipe, preset=preset, layers=layers).config
    values = config.to_dict()
    meanings = _meanings(config)
    lines = [f"# Settings of {recipe}. Use: aigc train {recipe} --config THIS-FILE", ""]
    for section in SECTIONS:
        lines += _commented({section: values[section]}, meanings)
    sys.stdout.write("\n".join(lines) + "\n")


def _commented(
    values: Mapping[str, Any], meanings: Mapping[str, str], above: str = ""
) -> list[str]:
    """Return settings as lines of YAML, each below a comment with its meaning."""
    lines: list[str] = []
    indent = "  " * above.count(".")
    for name, value in values.items():
        key = f"{above}{name}"
        meaning = " ".join(meanings.get(key, "").split())
        lines += [f"{indent}# {line}" for line in textwrap.wrap(meaning, 96 - len(indent))]
        if isinstance(value, Mapping) and value:
            lines += [f"{indent}{name}:", *_commented(value, meanings, f"{key}.")]
        else:
            text = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
            lines.append(f"{indent}{name}: {text.removesuffix('...' + chr(10)).rstrip()}")
    return lines


def _meanings(config: RunConfig) -> dict[str, str]:
    """Return what settings mean, by dotted key."""
    found: dict[str, str] = {}
    models = {"dataset": config.dataset, "model": config.model, "trainer": config.trainer}
    for section, model in {**models, "engine": config.engine}.items():
        found |= described_fields(model, f"{section}.")
    return found


def schema(recipe: RecipeArgument, dataset: DatasetOption = None) -> None:
    """Print the JSON Schema of a configuration file, for an editor."""
    host = get_host()
    spec = host.recipe(recipe)
    owner = host.owner("recipe", recipe)
    data = host.dataset(dataset or spec.dataset, spec.modality)
    parts = {
        "model": host.resolve(spec.model, owner),
        "trainer": host.resolve(spec.trainer, owner),
        "engine": EngineConfig,
        "dataset": DatasetConfig,
    }
    chosen = resolve_config(host, recipe, layers=layers_from(None, None, dataset)).config.to_dict()
    properties: dict[str, Any] = {"schema_version": {"const": 1}}
    definitions: dict[str, Any] = {}
    for name, model in parts.items():
        properties[name] = _take(described_schema(model), definitions)
        _set_defaults(properties[name], chosen[name])
        properties[name].pop("required", None)  # a file may omit keys: weaker layers have them
    if data.options is not None:
        options = host.resolve(data.options, host.owner("dataset", data.name))
        properties["dataset"]["properties"]["options"] = _take(
            described_schema(options), definitions
        )
    print_json(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": f"Configuration of {recipe}",
            "type": "object",
            "additionalProperties": False,
            "properties": properties,
            "$defs": definitions,
        }
    )


def _set_defaults(schema: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Set each default to the recipe's value, as ``aigc config show`` shows it."""
    for name, value in values.items():
        if name in schema.get("properties", {}) and name != "options":
            schema["properties"][name]["default"] = value


def _take(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    definitions.update(schema.pop("$defs", {}))
    return schema

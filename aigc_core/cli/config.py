"""``aigc config show`` and ``aigc config schema``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from aigc_core.cli.output import JsonOption, print_json, print_listing
from aigc_core.cli.settings import ConfigOption, DatasetOption, PresetOption, SetOption, layers_from
from aigc_core.config import DatasetConfig, EngineConfig, resolve_config
from aigc_core.config.descriptions import described_schema
from aigc_core.config.layers import leaves
from aigc_core.plugins import get_host

RecipeArgument = Annotated[str, typer.Argument(help="See `aigc recipes`.")]


def add_commands(app: typer.Typer) -> None:
    """Add this file's commands."""
    group = typer.Typer(no_args_is_help=True, help="What can be set, and what is.")
    group.command()(show)
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
    if as_json:
        print_json({"config": values, "sources": dict(resolved.sources)})
        return
    rows = [
        {"setting": key, "value": value, "from": resolved.sources[key]}
        for key, value in leaves(values)
        if "." in key
    ]
    print_listing(rows, ["setting", "value", "from"], False)


def schema(recipe: RecipeArgument, dataset: DatasetOption = None) -> None:
    """Print the JSON Schema of a recipe's configuration file, for an editor to check it."""
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
    properties: dict[str, Any] = {"schema_version": {"const": 1}}
    definitions: dict[str, Any] = {}
    for name, model in parts.items():
        properties[name] = _take(described_schema(model), definitions)
        properties[name].pop("required", None)  # a file may leave out what has a weaker layer
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


def _take(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    definitions.update(schema.pop("$defs", {}))
    return schema

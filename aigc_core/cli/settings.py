"""The options that set settings, shared by the commands that resolve a configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from aigc_core.config import Layer, parse_assignment, read_config_file
from aigc_core.config.layers import nest
from aigc_core.errors import ConfigError

DatasetOption = Annotated[
    str | None, typer.Option("--dataset", help="Which data: see `aigc datasets`.")
]
PresetOption = Annotated[
    str | None, typer.Option("--preset", help="One of the recipe's named settings.")
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="YAML file with dataset, model, trainer, engine.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One setting; repeatable: engine.seed=1."),
]


def layers_from(
    config: Path | None, assignments: Sequence[str] | None, flags: Mapping[str, Any]
) -> list[Layer]:
    """Return the layers of a command line, weakest first: the file, then ``--set`` and flags.

    Raises:
        ConfigError: one key set twice to different values.
    """
    values = {key: value for key, value in flags.items() if value is not None}
    sources = dict.fromkeys(values, "the option of its own")
    for text in assignments or ():
        key, value = parse_assignment(text)
        if key in values and values[key] != value:
            raise ConfigError(
                f"'{key}' is set twice: to {values[key]} by {sources[key]} and to {value} by --set."
            )
        values[key] = value
        sources[key] = "--set"
    layers = [read_config_file(config)] if config is not None else []
    if values:
        layers.append(Layer("command line", nest(values)))
    return layers

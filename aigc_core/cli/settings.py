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

_OPTIONS = {
    "dataset.name": "--dataset",
    "dataset.root": "--data-root",
    "engine.standard.metric": "--until",
    "engine.standard.at_most": "--until",
    "engine.standard.at_least": "--until",
}

CheckpointOption = Annotated[
    str | None,
    typer.Option(metavar="best|STEP", help="Which checkpoint; otherwise the newest."),
]


def layers_from(
    config: Path | None, assignments: Sequence[str] | None, flags: Mapping[str, Any]
) -> list[Layer]:
    """Return the layers of a command line, weakest first: the file, then ``--set`` and flags.

    Of two ``--set`` with one key the later counts.

    Raises:
        ConfigError: a flag and ``--set`` give one key two values.
    """
    values = dict(parse_assignment(text) for text in assignments or ())
    for key, value in flags.items():
        if value is None:
            continue
        if values.get(key, value) != value:
            option = _OPTIONS.get(key, f"--{key.split('.')[1]}")
            raise ConfigError(
                f"'{key}' is given twice: {option} {value} and --set {key}={values[key]}."
            )
        values[key] = value
    layers = [read_config_file(config)] if config is not None else []
    if values:
        layers.append(Layer("command line", nest(values)))
    return layers

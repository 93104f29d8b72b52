"""The options that set settings, shared by the commands that resolve a configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from aigc_core.config import Layer, given_settings, parse_assignment, read_config_file
from aigc_core.config.layers import nest

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

CheckpointOption = Annotated[
    str | None,
    typer.Option(metavar="best|STEP", help="Which checkpoint; otherwise the newest."),
]


def overrides_from(assignments: Sequence[str] | None) -> dict[str, Any]:
    """Return what ``--set`` gives, by dotted key; of two with one key the later counts."""
    return dict(parse_assignment(text) for text in assignments or ())


def layers_from(
    config: Path | None, assignments: Sequence[str] | None, dataset: str | None
) -> list[Layer]:
    """Return the layers of a command line, weakest first: the file, then ``--set`` and dataset.

    Raises:
        ConfigError: ``--dataset`` and ``--set`` name two.
    """
    values = given_settings(overrides_from(assignments), dataset=dataset)
    layers = [read_config_file(config)] if config is not None else []
    if values:
        layers.append(Layer("command line", nest(values)))
    return layers

"""Options for settings, shared by the commands that resolve a configuration."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from aigc_core.config import Layer


def _complete_recipes(incomplete: str) -> list[str]:
    from aigc_core.plugins import get_host

    return [name for name in get_host().recipes if name.startswith(incomplete)]


def _recipe_typed(context: typer.Context) -> str:
    """Return the recipe on the command line being completed.

    While completing an option's value, click stops before it has parsed the arguments.
    """
    from aigc_core.plugins import get_host

    words = f"{os.environ.get('COMP_WORDS', '')} {os.environ.get('_TYPER_COMPLETE_ARGS', '')}"
    typed = (word for word in words.split() if word in get_host().recipes)
    return str(context.params.get("recipe") or next(typed, ""))


def _complete_datasets(context: typer.Context, incomplete: str) -> list[str]:
    from aigc_core.plugins import get_host

    spec = get_host().recipes.get(_recipe_typed(context))
    modality = spec.modality if spec else None
    fitting = [s.name for s in get_host().datasets.values() if modality in (None, s.modality)]
    return [name for name in dict.fromkeys(fitting) if name.startswith(incomplete)]


def _complete_presets(context: typer.Context, incomplete: str) -> list[str]:
    from aigc_core.plugins import get_host

    spec = get_host().recipes.get(_recipe_typed(context))
    return [name for name in (spec.presets if spec else ()) if name.startswith(incomplete)]


def complete_runs(incomplete: str) -> list[str]:
    """Return the runs whose path begins so."""
    from aigc_core.files import relative_path
    from aigc_core.runs import find_runs

    paths = [relative_path(run.path) for run in find_runs()]
    return [path for path in paths if path.startswith(incomplete)]


def _complete_settings(context: typer.Context, incomplete: str) -> list[str]:
    from aigc_core.config import resolve_config
    from aigc_core.config.layers import leaves
    from aigc_core.plugins import get_host

    recipe = _recipe_typed(context)
    if "=" in incomplete or recipe not in get_host().recipes:
        return []
    values = resolve_config(get_host(), recipe).config.to_dict()
    keys = [key for key, _ in leaves(values) if "." in key]
    return [f"{key}=" for key in keys if key.startswith(incomplete)]


RecipeArgument = Annotated[
    str | None,
    typer.Argument(
        help="What to train: see `aigc recipes`.",
        show_default=False,
        autocompletion=_complete_recipes,
    ),
]
RunArgument = Annotated[
    str,
    typer.Argument(help="The run's folder: see `aigc runs`.", autocompletion=complete_runs),
]
DatasetOption = Annotated[
    str | None,
    typer.Option(
        "--dataset", help="Which data: see `aigc datasets`.", autocompletion=_complete_datasets
    ),
]
PresetOption = Annotated[
    str | None,
    typer.Option(
        "--preset", help="One of the recipe's named settings.", autocompletion=_complete_presets
    ),
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="YAML file with dataset, model, trainer, engine.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="One setting; repeatable: engine.seed=1.",
        autocompletion=_complete_settings,
    ),
]

CheckpointOption = Annotated[
    str | None,
    typer.Option(metavar="best|STEP", help="Which checkpoint; otherwise the newest."),
]


def overrides_from(assignments: Sequence[str] | None) -> dict[str, Any]:
    """Return the ``--set`` values by dotted key; if a key is repeated, the last wins."""
    from aigc_core.config import parse_assignment

    return dict(parse_assignment(text) for text in assignments or ())


def layers_from(
    config: Path | None, assignments: Sequence[str] | None, dataset: str | None
) -> list[Layer]:
    """Return the layers of a command line, weakest first: the file, then ``--set`` and dataset.

    Raises:
        ConfigError: ``--dataset`` and ``--set`` name different datasets.
    """
    from aigc_core.config import Layer, given_settings, read_config_file
    from aigc_core.config.layers import nest

    values = given_settings(overrides_from(assignments), dataset=dataset)
    layers = [read_config_file(config)] if config is not None else []
    if values:
        layers.append(Layer("command line", nest(values)))
    return layers

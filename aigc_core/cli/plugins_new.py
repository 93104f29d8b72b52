"""``aigc plugins new``: the folder of a new plugin."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from aigc_core.files import relative_path, typed
from aigc_core.scaffold import brought_by_a_plugin, new_plugin


def new(
    name: Annotated[
        str, typer.Argument(help="Name of the plugin and of its model, such as point-flow.")
    ],
    modality: Annotated[
        str, typer.Option(help="Its kind of content: a new one, or an installed plugin's.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="The plugin's folder; otherwise aigc-NAME.")
    ] = None,
) -> None:
    """Write a plugin that trains and passes its tests, to be changed."""
    folder = Path(os.path.expanduser(out)) if out is not None else Path(f"aigc-{name}")
    existing = brought_by_a_plugin(modality)
    for path in new_plugin(name, modality, folder, existing):
        typer.echo(relative_path(path))
    what = "the modality" if not existing else "only a recipe for the modality"
    typer.echo(f"\nIt brings {what} '{modality}'. Next:")
    typer.echo(f"  pip install -e {typed(folder)}")
    typer.echo(f"  aigc train {modality}/{name} --preset tiny")
    typer.echo(f"  pytest {typed(folder)}")

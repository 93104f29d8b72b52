"""``aigc export`` and ``aigc import``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aigc_core.cli.output import error_console, say
from aigc_core.cli.settings import CheckpointOption, RunArgument
from aigc_core.files import relative_path, typed


def add_commands(app: typer.Typer, name: str) -> None:
    """Add the command that is asked for."""
    app.command(name)(export if name == "export" else import_)


def export(
    run: RunArgument,
    format: Annotated[str, typer.Option(help="safetensors, hf-folder, script, onnx or pt2.")],
    out: Annotated[
        Path | None, typer.Option(help="A new file or folder; otherwise one of the run's name.")
    ] = None,
    checkpoint: CheckpointOption = None,
) -> None:
    """Write a run's generator for other programs and other people."""
    from aigc_core.api.exporting import export_run

    done = export_run(run, format=format, out=out, checkpoint=checkpoint)
    say(error_console(), f"Step {done.step:,} of {run} is in {relative_path(done.path)}")


def import_(
    folder: Annotated[str, typer.Argument(help="What `aigc export --format hf-folder` wrote.")],
    out: Annotated[
        Path | None, typer.Option(help="The run's folder; otherwise one in runs/imported.")
    ] = None,
) -> None:
    """Make a run of an exported folder, after verifying it."""
    from aigc_core.api.importing import import_run

    run = import_run(folder, out=out)
    say(error_console(), f"{run.recipe}, step {run.step:,}, is in {relative_path(run.path)}")
    say(error_console(), f"Use it: aigc generate {typed(run.path)}")

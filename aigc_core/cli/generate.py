"""``aigc generate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aigc_core.cli.output import JsonOption, error_console, print_json, say, shown
from aigc_core.errors import UserError


def add_commands(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command()(generate)


def generate(
    run: Annotated[str, typer.Argument(help="The run's folder: see `aigc runs`.")],
    count: Annotated[int, typer.Option(help="How many samples, up to 1,000,000.")] = 16,
    seed: Annotated[int, typer.Option(help="The same seed gives the same samples.")] = 0,
    label: Annotated[
        str | None, typer.Option(help="Name or number of a class, for a conditional run.")
    ] = None,
    interpolate: Annotated[
        bool, typer.Option("--interpolate", help="Samples on the way from one latent to another.")
    ] = False,
    reconstruct: Annotated[
        bool, typer.Option("--reconstruct", help="Pairs: held-out data, and what is made of it.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="A new folder; otherwise one inside the run.")
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(help="One file a sample, such as png; or npy for one array, samples.npy."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Draw samples from a trained run's newest checkpoint."""
    from aigc_core.api import generate_files

    if interpolate and reconstruct:
        raise UserError("Give --interpolate or --reconstruct, not both.")
    files = generate_files(
        run,
        count=count,
        seed=seed,
        label=label,
        kind="interpolation" if interpolate else "reconstructions" if reconstruct else "samples",
        device=device,
        format=format,
        out=out,
    )
    if as_json:
        print_json(
            {
                "folder": str(files.folder),
                "files": [str(path) for path in files.files],
                "preview": str(files.preview),
                "step": files.step,
                "count": count,
                "seed": seed,
            }
        )
        return
    console = error_console()
    say(console, f"{count:,} samples of step {files.step} in {shown(files.folder)}")
    say(console, f"Preview: {shown(files.preview)}")

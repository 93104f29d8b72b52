"""``aigc report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aigc_core.cli.output import error_console, say
from aigc_core.cli.settings import complete_runs
from aigc_core.files import relative_path


def add_commands(app: typer.Typer, name: str) -> None:
    """Add this file's command."""
    app.command()(report)


def report(
    runs: Annotated[
        list[str],
        typer.Argument(help="Runs' folders: see `aigc runs`.", autocompletion=complete_runs),
    ],
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("report.html"),
) -> None:
    """Write a page on a run, or one that compares several."""
    from aigc_core.report import write_report

    written = write_report(runs, out)
    size = written.stat().st_size
    say(error_console(), f"{relative_path(written)}: {size / 1e6:.2g} MB, opens in any browser.")

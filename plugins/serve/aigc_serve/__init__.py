"""Serves trained models over HTTP: adds the command ``aigc serve``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aigc_core import hookimpl

if TYPE_CHECKING:
    import typer

__version__ = "0.1.0"


@hookimpl
def aigc_extend_cli(app: typer.Typer) -> None:
    from aigc_serve.command import serve

    app.command()(serve)

"""The ``aigc`` program: its commands, and how errors end it."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer
from rich.logging import RichHandler
from rich.markup import escape

from aigc_core._version import __version__
from aigc_core.cli import config, doctor, generate, listings, plugins, runs, train
from aigc_core.cli.output import error_console
from aigc_core.errors import AigcError
from aigc_core.plugins import get_host
from aigc_core.plugins.hooks import HookCaller

app = typer.Typer(
    name="aigc",
    help="Train and use generative models of any kind of content.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"aigc {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


for _group in (train, generate, runs, listings, config, plugins, doctor):
    _group.add_commands(app)


def main() -> None:
    """Run the command line; the exit code is 0 done, 1 failed, 2 bad usage or input, 130 Ctrl-C."""
    console = error_console()
    handler = RichHandler(console=console, show_time=False, show_path=False, show_level=False)
    logging.getLogger("aigc").handlers = [handler]
    logging.getLogger("aigc").propagate = False
    try:
        host = get_host()
        HookCaller(host.manager).call("aigc_extend_cli", app=app)
        for status in host.broken():
            console.print(
                f"[yellow]Warning:[/] the plugin '{status.name}' could not be loaded: "
                f"{escape(status.error or '')}"
            )
        app(standalone_mode=True)
    except AigcError as error:
        console.print(f"[bold red]Error:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        console.print("Interrupted.")
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()  # nobody reads any more; say nothing
        sys.exit(1)

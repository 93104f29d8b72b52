"""The ``aigc`` program: its commands, and how errors end it."""

from __future__ import annotations

import logging
import signal
import sys
from typing import Annotated

import typer

from aigc_core._version import __version__
from aigc_core.cli import config, doctor, generate, listings, plugins, runs, train
from aigc_core.cli.output import ConsoleHandler, error_console, say
from aigc_core.errors import AigcError, Interrupted
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
    logging.getLogger("aigc").handlers = [ConsoleHandler(console)]
    logging.getLogger("aigc").propagate = False
    # Ended by exception, so that half-written files are removed on the way; training has its own.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        host = get_host()
        HookCaller(host.manager).call("aigc_extend_cli", app=app)
        for status in host.broken():
            say(console, f"Warning: the plugin '{status.name}' could not be loaded: {status.error}")
        app(standalone_mode=True)
    except Interrupted as stop:
        say(console, str(stop))
        sys.exit(stop.exit_code)
    except AigcError as error:
        say(console, f"Error: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        say(console, "Interrupted.")
        sys.exit(130)
    except SystemExit as stop:
        if stop.code == 130:  # what typer makes of Ctrl-C
            say(console, "Interrupted.")
        raise

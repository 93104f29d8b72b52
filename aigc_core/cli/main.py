"""The ``aigc`` program: its commands, and how errors end it."""

from __future__ import annotations

import io
import logging
import signal
import sys
from typing import Annotated

import typer

from aigc_core._version import __version__
from aigc_core.cli import config, doctor, evaluate, generate, listings, plugins, runs, train
from aigc_core.cli.extend import add_plugin_commands
from aigc_core.cli.global_options import GLOBAL_OPTIONS, take_global_options
from aigc_core.cli.output import ConsoleHandler, error_console, say
from aigc_core.errors import AigcError, Interrupted, Terminated
from aigc_core.plugins import get_host, use_options

logger = logging.getLogger("aigc")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"aigc {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


def make_app() -> typer.Typer:
    """Return the program with the core's own commands."""
    app = typer.Typer(
        name="aigc",
        help="Train and use generative models of any kind of content.",
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
    )
    app.callback(epilog=GLOBAL_OPTIONS)(_options)
    for group in (train, generate, evaluate, runs, listings, config, plugins, doctor):
        group.add_commands(app)
    return app


def main() -> None:
    """Run the command line; the exit code is 0 done, 1 failed, 2 bad usage or input, 130 Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):  # a path may hold what the terminal cannot show
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    console = error_console()
    logger.handlers = [ConsoleHandler(console)]
    logger.propagate = False
    level = logger.level
    logger.setLevel(logging.INFO)  # such as what is being downloaded
    # Ended by exception, so that half-written files are removed on the way; training has its own.
    signal.signal(signal.SIGTERM, _terminate)
    try:
        options, arguments = take_global_options(sys.argv[1:])
        with use_options(options):
            app = make_app()
            if _loads_plugins(arguments):
                _load_plugins(app, arguments)
            app(args=arguments, prog_name="aigc", standalone_mode=True)
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
    finally:
        logger.setLevel(level)


def _terminate(number: int, frame: object) -> None:
    raise Terminated(128 + number)


def _loads_plugins(arguments: list[str]) -> bool:
    """Whether plugins load at the start: all but what must work when one of them is broken."""
    first = next((argument for argument in arguments if not argument.startswith("-")), None)
    before = arguments if first is None else arguments[: arguments.index(first)]
    return first != "plugins" and "--version" not in before


def _load_plugins(app: typer.Typer, arguments: list[str]) -> None:
    host = get_host()
    for status in host.broken():
        if any(argument.startswith(f"{status.name}/") for argument in arguments):
            continue  # asked for by name, it is the error that ends the command
        logger.warning("The plugin '%s' could not be loaded. %s", status.name, status.what_to_do)
    for status in host.statuses.values():
        if status.warning:
            logger.warning("The plugin '%s': %s", status.name, status.warning)
    add_plugin_commands(app, host)

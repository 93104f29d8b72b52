"""The ``aigc`` program: its commands, and how errors end it."""

from __future__ import annotations

import errno
import io
import logging
import os
import signal
import sys
import threading
import traceback
from typing import Annotated

import typer

from aigc_core._version import __version__
from aigc_core.cli.commands import APPEARANCE, LazyGroup
from aigc_core.cli.extend import add_plugin_commands
from aigc_core.cli.global_options import GLOBAL_OPTIONS, take_global_options
from aigc_core.cli.output import ConsoleHandler, error_console, say
from aigc_core.cli.streams import flush_output, open_missing_streams
from aigc_core.errors import (
    AigcError,
    PluginFailure,
    StorageError,
    Terminated,
    UserError,
    reason,
)
from aigc_core.plugins import HostOptions, get_host, use_options
from aigc_core.plugins.blame import failure

logger = logging.getLogger("aigc")
_OUTPUT = (errno.ENOSPC, errno.EIO, getattr(errno, "EDQUOT", errno.ENOSPC))
"""Error codes of writing to standard output when the disk is full or the terminal is gone."""


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
        cls=LazyGroup,
        help="Train and use generative models of any kind of content.",
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        **APPEARANCE,
    )
    app.callback(epilog=GLOBAL_OPTIONS)(_options)
    return app


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 failed, 2 bad usage or input, 130 Ctrl-C."""
    open_missing_streams()
    _name_the_user()
    for stream in (sys.stdout, sys.stderr):  # a path may hold what the terminal cannot show
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    console = error_console()
    unwritten: OSError | None = None
    before = logger.handlers, logger.propagate, logger.level
    logger.handlers = [ConsoleHandler(console)]
    logger.propagate = False
    logger.setLevel(logging.INFO)  # to show, say, what is being downloaded
    # SIGTERM raises, so that half-written files are cleaned up; training has its own handler.
    in_main = threading.current_thread() is threading.main_thread()
    on_term = signal.signal(signal.SIGTERM, _terminate) if in_main else None
    options: HostOptions | None = None
    try:
        options, arguments = take_global_options(sys.argv[1:])
        with use_options(options):
            app = make_app()
            if _loads_plugins(arguments):
                _load_plugins(app, arguments)
            try:
                _call(app, arguments)
            finally:
                unwritten = flush_output()
    except AigcError as error:
        if options is not None and options.traceback:
            say(console, "".join(traceback.format_exception(error)))
        elif isinstance(error, PluginFailure):
            say(console, "With --traceback, the same command shows where that came from.")
        say(console, f"Error: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        say(console, "Interrupted.")
        sys.exit(130)
    except SystemExit as stop:
        if stop.code == 130 and not isinstance(stop, Terminated):  # typer's for Ctrl-C
            say(console, "Interrupted.")
        if stop.code in (None, 0) and unwritten is not None:
            say(console, f"Error: The output could not be written: {reason(unwritten)}.")
            sys.exit(1)
        raise
    finally:  # restore the state of a process that calls this as a function
        flush_output()
        logger.handlers, logger.propagate = before[:2]
        logger.setLevel(before[2])
        if on_term is not None:
            signal.signal(signal.SIGTERM, on_term)


def _call(app: typer.Typer, arguments: list[str]) -> None:
    """Run a command; turn any other exception into an ``AigcError``.

    Raises:
        AigcError: with the exception as its cause.
    """
    try:
        app(args=arguments, prog_name="aigc", standalone_mode=True)
    except AigcError:
        raise
    except FileNotFoundError as error:
        if not _here_is_gone():
            raise _failure(error, arguments) from error
        raise UserError(
            "The current folder was removed. Change to another one, or give paths that begin "
            "with /."
        ) from error
    except OSError as error:
        if error.errno in _OUTPUT and error.filename is None:
            raise StorageError(f"The output could not be written: {reason(error)}.") from error
        raise _failure(error, arguments) from error
    except Exception as error:
        if (ended := _signal_behind(error)) is not None:
            raise ended from None
        raise _failure(error, arguments) from error


def _signal_behind(error: BaseException) -> BaseException | None:
    """Return what a signal raised, if the error came of that.

    It may be raised anywhere, such as within a lock that is then released twice.
    """
    before = error.__context__
    while before is not None and not isinstance(before, KeyboardInterrupt | Terminated):
        before = before.__context__
    return before


def _failure(error: Exception, arguments: list[str]) -> PluginFailure:
    command = next((word for word in arguments if not word.startswith("-")), "")
    return failure(get_host(), error, f"running aigc {command}".rstrip())


def _name_the_user() -> None:
    """Set ``LOGNAME`` for a user without a passwd entry, as in containers: libraries ask for it."""
    if os.name == "nt":
        return
    import pwd

    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        os.environ.setdefault("LOGNAME", f"uid{os.getuid()}")


def _here_is_gone() -> bool:
    try:
        os.getcwd()
    except OSError:
        return True
    return False


def _terminate(number: int, frame: object) -> None:
    raise Terminated(128 + number)


def _loads_plugins(arguments: list[str]) -> bool:
    """Whether plugins load at startup: not for commands that must work when one is broken."""
    first = next((argument for argument in arguments if not argument.startswith("-")), None)
    before = arguments if first is None else arguments[: arguments.index(first)]
    return first not in ("plugins", "runs", "cache") and "--version" not in before


def _load_plugins(app: typer.Typer, arguments: list[str]) -> None:
    host = get_host()
    for status in host.broken():
        if any(argument.startswith(f"{status.name}/") for argument in arguments):
            continue  # the command asks for this plugin, and ends with its error
        logger.warning("The plugin '%s' could not be loaded. %s", status.name, status.what_to_do)
    for status in host.statuses:
        if status.warning:
            logger.warning("The plugin '%s': %s", status.name, status.warning)
    add_plugin_commands(app, host)

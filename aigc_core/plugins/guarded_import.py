"""Loads a plugin's code safely, whatever that code does."""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from importlib.metadata import EntryPoint

from packaging.requirements import Requirement

from aigc_core.errors import ConfigError, PluginError, Terminated
from aigc_core.plugins.compatibility import applies
from aigc_core.plugins.installed import ENTRY_POINT_GROUP, as_argument
from aigc_core.plugins.status import PluginStatus

logger = logging.getLogger("aigc")
NOTICE_AFTER_S = 3.0
"""Seconds after which a warning says which plugin the command is waiting for."""

NEVER_CATCH = (KeyboardInterrupt, Terminated)
"""Exceptions that the user causes, not the plugin."""


_SIGNALS = [signal.SIGINT, signal.SIGTERM]


@contextlib.contextmanager
def guarded() -> Iterator[list[str]]:
    """Context for running a plugin's code: its output goes to stderr, and its changes are undone.

    It restores the current folder, the handlers of Ctrl-C and SIGTERM, the level below which
    logging is disabled, and the handlers of aigc's logger.

    Yields:
        A list that is filled at the end with what had to be restored, logger handlers excepted.
    """
    changed: list[str] = []
    folder = _current_folder()
    disabled, handlers = logging.root.manager.disable, list(logging.getLogger("aigc").handlers)
    in_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in _SIGNALS if in_main}
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for the command's own output
            yield changed
    finally:
        if folder is not None and _current_folder() != folder:
            changed.append("the current folder")
            with contextlib.suppress(OSError):
                os.chdir(folder)
        for number, handler in before.items():
            if signal.getsignal(number) is not handler:
                changed.append(f"the handler of {signal.Signals(number).name}")
                if handler is not None:  # a handler not set from Python cannot be restored
                    signal.signal(number, handler)
        if logging.root.manager.disable != disabled:
            changed.append("what logging leaves out")
            logging.disable(disabled)
        logging.getLogger("aigc").handlers[:] = handlers


def _current_folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return None


def import_plugin(status: PluginStatus) -> object:
    """Import what a plugin's entry point names; warn if that takes long.

    Raises:
        PluginError: it cannot be imported, for any reason; ``status.fix`` is set if there is a
            better fix than disabling the plugin.
    """
    notice = threading.Timer(NOTICE_AFTER_S, _say_that_it_takes_long, [status])
    notice.daemon = True
    notice.start()
    try:
        entry_point = EntryPoint(status.name, status.module, ENTRY_POINT_GROUP)
        plugin: object = entry_point.load()
    except NEVER_CATCH:
        raise
    except BaseException as error:  # a plugin may raise anything at import, SystemExit too
        logger.debug("Traceback of the plugin '%s':", status.name, exc_info=error)
        raise PluginError(_why(error, status)) from error
    finally:
        notice.cancel()
    return plugin


def describe(error: BaseException) -> str:
    """Describe an exception in a phrase, with its type."""
    if isinstance(error, ConfigError):  # such as an invalid declaration of a recipe
        return str(error).rstrip(".")
    try:
        words = " ".join(str(error).split())
    except Exception:  # its own __str__ is broken
        words = ""
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in words)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _why(error: BaseException, status: PluginStatus) -> str:
    module = status.module.partition(":")[0]
    if isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]:
        if status.editable and status.location and os.path.isdir(status.location):
            status.fix = f"pip install -e {shlex.quote(status.location)}"
            return (
                f"The folder {status.location} holds no module {error.name}, which the entry point "
                "names. Correct the entry point in pyproject.toml, and install it again."
            )
        status.fix = status.removal
        if status.editable:
            return (
                f"Its files are gone: {status.distribution} was installed from the folder "
                f"{status.location}, editable, and no module {error.name} is there any more."
            )
        return f"Its files are gone: there is no module {error.name}."
    distribution = status.distribution if isinstance(error, ModuleNotFoundError) else None
    if distribution and (needed := _not_installed(distribution)):
        status.fix = f"pip install {shlex.join(needed)}"
    if not EntryPoint.pattern.match(status.module):
        return f"Its entry point names '{status.module}', which is no module."
    return f"Importing {status.module} failed: {describe(error)}"


def _not_installed(distribution: str) -> list[str]:
    """Return the requirements of a distribution that are not installed.

    Taken from its metadata, not from the missing module's name: the distribution is often named
    differently, and a package of the module's name may belong to somebody else.
    """
    missing: list[str] = []
    try:
        requirements = importlib.metadata.requires(distribution) or []
    except Exception:  # damaged metadata can raise anything
        return missing
    for text in requirements:
        try:
            requirement = Requirement(text)
            if applies(requirement):
                importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(f"{requirement.name}{requirement.specifier}")
        except Exception:  # skip malformed lines
            continue
    return missing


def _say_that_it_takes_long(status: PluginStatus) -> None:
    logger.warning(
        "Still loading the plugin '%s' (%s) after %.0f seconds. Ctrl-C ends this; "
        "aigc plugins disable %s keeps it from being loaded.",
        status.name,
        status.module,
        NOTICE_AFTER_S,
        as_argument(status.name),
    )

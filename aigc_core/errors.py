"""All errors, grouped by who can fix them; every message is a sentence for the user.

Each error carries the command line's exit code: 2 for what the user can fix (a name, a value, a
file), 1 for what failed while running, 128 + the signal's number for an interruption.
"""

from __future__ import annotations

import difflib
import os
import traceback
from collections.abc import Iterable
from typing import Any


class AigcError(Exception):
    """Base of all errors that the command line prints without a traceback."""

    exit_code = 1

    def __str__(self) -> str:
        """Return the message on one line, with control characters escaped."""
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in super().__str__())


class UserError(AigcError, ValueError):
    """Bad usage or bad input. The message says what is wrong, where, and how to fix it."""

    exit_code = 2


class ConfigError(UserError):
    """An invalid configuration key or value."""


class PluginError(UserError):
    """A plugin that is missing, broken, or uses a name that another plugin already has."""


class DataError(UserError):
    """A dataset that cannot be found, read, downloaded or trusted."""


class RunError(UserError):
    """A run folder that is not one, is taken, or cannot be continued."""


class TrainingError(AigcError):
    """Training cannot continue, for example because losses stay non-finite."""


class PluginFailure(AigcError):
    """An exception in a plugin's code or in aigc's own; the original is its ``__cause__``."""


class StorageError(AigcError):
    """A file could not be written, for example because the disk is full."""


class StopTraining(Exception):
    """Raised by an observer to end training with a checkpoint and without an error.

    Args:
        reason: why, as part of a sentence: ``"the loss is low enough"``.
    """

    def __init__(self, reason: str = "no reason was given") -> None:
        super().__init__(reason)
        self.reason = reason


class Interrupted(KeyboardInterrupt):
    """A signal stopped training; the message says what was kept and how to resume."""

    def __init__(self, message: str, signal_number: int, run: Any = None) -> None:
        super().__init__(message)
        self.signal_number = signal_number
        self.run = run
        """The ``Run`` that was stopped."""

    @property
    def exit_code(self) -> int:
        """The exit code that a shell reports for a program ended by this signal."""
        return 128 + self.signal_number


class Terminated(SystemExit):
    """Ends the program because of a signal; the guards around plugin code let it through."""


def reason(error: OSError) -> str:
    """Return why a file operation failed; some libraries' OSErrors have no ``strerror``."""
    return error.strerror or str(error) or type(error).__name__


def raised_at(error: BaseException) -> str:
    """Describe an exception in a phrase: its type, message, and the line that raised it."""
    text = " ".join(str(error).split())
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}{': ' if text else ''}{text}{where}"


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """Return the valid name that was probably meant, ignoring case, or None."""
    names = {valid_name.lower(): valid_name for valid_name in sorted(valid, reverse=True)}
    name = name.lower()
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if not close:  # people often type just one part: 'dcgan' for 'image/dcgan'
        close = [n for n in sorted(names) if name and name in (*n.split("/"), *n.split("."))]
    return names[close[0]] if close else None


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the closest valid name, else a list of valid names.

    The result starts with a space so that it can be appended to a sentence.
    """
    names = sorted(valid)
    close = nearest(name, names)
    if close is not None:
        return f" Did you mean '{close}'?"
    if not names:
        return " There are none."
    shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    return f" Valid: {shown}."


def shown(value: Any) -> str:
    """Format a value for a message, roughly as in YAML, cut to 60 characters."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    plain = isinstance(value, str) and value.isprintable() and value.strip() == value != ""
    text = value if plain else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

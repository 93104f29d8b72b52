"""Global options: they apply before plugins load, so they are parsed before typer runs."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aigc_core.errors import ConfigError, UserError
from aigc_core.plugins import HostOptions
from aigc_core.plugins.options import split_names

logger = logging.getLogger("aigc")
NAMES = {"--no-plugins", "--strict", "--traceback", "--registry"}
GLOBAL_OPTIONS = """\
Anywhere: --no-plugins loads no plugin, --no-plugins=a,b not these; --strict makes warnings about
plugins errors; --traceback shows where an error came from; --registry FILE takes another
registry.yaml.
"""


def global_options_in(arguments: Sequence[str]) -> list[str]:
    """Return the global options of a command line as they were given, for another process."""
    found: list[str] = []
    remaining = list(arguments)
    while remaining and remaining[0] != "--":
        argument = remaining.pop(0)
        if argument.partition("=")[0] in NAMES:
            found.append(argument)
            if argument == "--registry" and remaining:
                found.append(remaining.pop(0))
    return found


def take_global_options(arguments: Sequence[str]) -> tuple[HostOptions, list[str]]:
    """Split the command line into global options and all other arguments.

    Global options may appear anywhere before ``--``.

    Raises:
        UserError: an option without its value, or with an invalid one.
        ConfigError: the user's file of disabled plugins is malformed.
    """
    found: dict[str, Any] = {}
    others: list[str] = []
    remaining = list(arguments)
    while remaining:
        argument = remaining.pop(0)
        name, equals, value = argument.partition("=")
        if argument == "--":
            others += [argument, *remaining]
            break
        if name == "--no-plugins" and equals:
            if not split_names(value):
                raise UserError("--no-plugins= names no plugin. Leave the = out to load none.")
            found["not_these"] = (*found.get("not_these", ()), *split_names(value))
        elif argument == "--no-plugins":
            found["none"] = True
        elif argument == "--strict":
            found["strict"] = True
        elif argument == "--traceback":
            found["traceback"] = True
        elif name == "--registry":
            if not equals and remaining:
                value = remaining.pop(0)
            if not value:
                raise UserError("--registry needs the path of a registry.yaml.")
            found["registry"] = Path(os.path.expanduser(value))
        else:
            others.append(argument)
    try:
        options = HostOptions.from_environment()
    except ConfigError as error:
        if not all(argument in ("-h", "--help", "--version") for argument in others):
            raise
        logger.warning("%s", error)  # --help and --version work, whatever is broken
        options = HostOptions(none=True)
    return dataclasses.replace(options, **found), others

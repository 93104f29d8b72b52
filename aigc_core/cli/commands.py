"""The core's commands, by name: imported when one is called, so that others start at once."""

from __future__ import annotations

import importlib
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

COMMANDS = {
    "train": ("train", "Train a recipe in a new run."),
    "resume": ("train", "Resume a run exactly, from its newest checkpoint."),
    "generate": ("generate", "Draw samples from a trained run."),
    "evaluate": ("evaluate", "Compare samples of a run with its data, by metrics."),
    "runs": ("runs", "List runs, with how far they are."),
    "show": ("show", "Show what a run is, and what it can be asked for."),
    "recipes": ("listings", "List what can be trained."),
    "datasets": ("listings", "List what to train on, or look at some of it."),
    "modalities": ("listings", "List the kinds of content, and who brings them."),
    "metrics": ("listings", "List what `aigc evaluate` can measure."),
    "config": ("config", "What can be set, and what is."),
    "cache": ("cache", "See and clear prepared data."),
    "plugins": ("plugins", "Install, check, write and switch off plugins."),
    "doctor": ("doctor", "Check this installation."),
}
"""By name: the module of this package that adds it, and the first line of its help."""


APPEARANCE: dict[str, Any] = {"rich_markup_mode": None, "pretty_exceptions_enable": False}
"""Help as plain text, since importing what draws boxes takes a third of the time of ``--help``."""


class LazyGroup(TyperGroup):
    """The program: the core's commands, and beside them those that plugins registered."""

    _lists = False  # while its own help is printed, which names commands and calls none

    def __init__(self, **attributes: Any) -> None:
        """Take what typer makes of the program; its commands are those of plugins."""
        super().__init__(**attributes)
        own = {name: TyperCommand(name, help=summary) for name, (_, summary) in COMMANDS.items()}
        self.commands = {**own, **self.commands}

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, or None where there is none of that name."""
        if cmd_name not in COMMANDS or self._lists:
            return super().get_command(ctx, cmd_name)
        return load_command(cmd_name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the program's own help."""
        self._lists = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._lists = False


def load_command(name: str) -> Any:
    """Import one of the core's commands and make it."""
    app = typer.Typer(**APPEARANCE)
    app.callback()(_nothing)
    importlib.import_module(f"aigc_core.cli.{COMMANDS[name][0]}").add_commands(app, name)
    return get_group(app).commands[name]


def _nothing() -> None:
    """Make a group even of one command."""

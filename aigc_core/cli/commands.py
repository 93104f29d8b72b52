"""The core's commands by name; each is imported only when called, so that startup is fast."""

from __future__ import annotations

import importlib
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from aigc_core.errors import ConfigError

COMMANDS = {
    "train": ("train", "Train a recipe in a new run."),
    "resume": ("train", "Resume a run exactly, from its newest checkpoint."),
    "generate": ("generate", "Draw samples from a trained run."),
    "evaluate": ("evaluate", "Compare samples of a run with its data, by metrics."),
    "runs": ("runs", "List runs, with how far they are."),
    "show": ("show", "Show what a run can be asked for, or how a generated file was made."),
    "report": ("report", "Write a page on a run, or one that compares several."),
    "export": ("export", "Write a run's generator for other programs and other people."),
    "import": ("export", "Make a run of an exported folder, after verifying it."),
    "recipes": ("listings", "List what can be trained."),
    "datasets": ("listings", "List what to train on, look at some of it, or prepare it."),
    "modalities": ("listings", "List the kinds of content, and who brings them."),
    "metrics": ("listings", "List what `aigc evaluate` can measure."),
    "config": ("config", "What can be set, and what is."),
    "cache": ("cache", "See and clear prepared data."),
    "plugins": ("plugins", "Install, check, write and switch off plugins."),
    "doctor": ("doctor", "Check this installation."),
}
"""Command name -> (module of this package that adds it, first line of its help)."""


APPEARANCE: dict[str, Any] = {"rich_markup_mode": None, "pretty_exceptions_enable": False}
"""Plain-text help: importing what draws boxes would take a third of the time of ``--help``."""


class LazyGroup(TyperGroup):
    """The program: the core's commands and those that plugins registered."""

    _lists = False  # True while the program's own help lists commands without loading them

    def __init__(self, **attributes: Any) -> None:
        """Add the core's commands to those that typer passes, which are the plugins'."""
        super().__init__(**attributes)
        own = {name: TyperCommand(name, help=summary) for name, (_, summary) in COMMANDS.items()}
        self.commands = {**own, **self.commands}

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, or None if there is none of that name."""
        if cmd_name not in COMMANDS or self._lists:
            return super().get_command(ctx, cmd_name)
        return load_command(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that is called; say which plugin brings one that is not there."""
        name = args[0]
        if self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            _explain_missing(name)
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the program's own help."""
        self._lists = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._lists = False


def _explain_missing(name: str) -> None:
    """Raise if a plugin brings a command of that name: not one that is installed and works."""
    from aigc_core.plugins import get_host, load_catalogue
    from aigc_core.plugins.missing import missing

    try:
        is_known = load_catalogue().provider_of("command", name) is not None
    except ConfigError:  # a faulty catalogue must not hide that there is no such command
        return
    if is_known:
        raise missing("command", name, {}, get_host().statuses)


def load_command(name: str) -> Any:
    """Import the module of a core command and return the command."""
    app = typer.Typer(**APPEARANCE)
    app.callback()(_nothing)
    importlib.import_module(f"aigc_core.cli.{COMMANDS[name][0]}").add_commands(app, name)
    return get_group(app).commands[name]


def _nothing() -> None:
    """Callback that makes typer build a group even for a single command."""

"""Plugins' commands: built separately for each plugin, and added only if they work."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import typer
from typer.main import get_command_name, get_group

from aigc_core.cli.commands import COMMANDS
from aigc_core.cli.global_options import NAMES as GLOBAL_NAMES
from aigc_core.errors import PluginError
from aigc_core.plugins import PluginHost
from aigc_core.plugins.guarded_import import NEVER_CATCH, describe, guarded

logger = logging.getLogger("aigc")


def add_plugin_commands(app: typer.Typer, host: PluginHost) -> None:
    """Call ``aigc_extend_cli`` on every plugin and add its commands.

    typer turns functions into commands only when the program runs. Here they are built early, so
    that a faulty one is reported as its plugin's error and the other commands still work.

    Raises:
        PluginError: with the option ``strict``: a plugin's commands do not work.
    """
    owners = dict.fromkeys(COMMANDS, "aigc itself")
    for implementation in host.manager.hook.aigc_extend_cli.get_hookimpls():
        plugin = implementation.plugin_name
        own = typer.Typer()
        try:
            with guarded():
                implementation.function(*([own] if "app" in implementation.argnames else []))
                _check(own, owners)
        except NEVER_CATCH:
            raise
        except (Exception, SystemExit) as error:
            why = str(error) if isinstance(error, PluginError) else describe(error)
            text = f"The plugin '{plugin}' failed in aigc_extend_cli"
            if host.options.strict:
                raise PluginError(f"{text}, and --strict makes that an error: {why}") from error
            logger.warning("%s, and its commands are left out: %s", text, why)
            continue
        owners |= dict.fromkeys(_names(own), f"the plugin '{plugin}'")
        app.registered_commands += own.registered_commands
        app.registered_groups += own.registered_groups


def _names(app: typer.Typer) -> Iterator[str]:
    for command in app.registered_commands:
        function = command.callback
        if command.name or function:
            yield command.name or get_command_name(function.__name__)  # type: ignore[union-attr]
    for group in app.registered_groups:
        if isinstance(group.name, str):
            yield group.name


def _check(own: typer.Typer, owners: dict[str, str]) -> None:
    """Build the commands; raise if a name is taken or an option is one of aigc's global ones."""
    for name, command in get_group(own).commands.items():
        if name in owners:
            raise PluginError(f"There is already a command '{name}': it belongs to {owners[name]}.")
        for parameter in _parameters(command):
            for option in {*parameter.opts, *parameter.secondary_opts} & GLOBAL_NAMES:
                raise PluginError(
                    f"The command '{name}' has an option {option}, which is aigc's own and is "
                    "taken before a command sees it. Choose another name."
                )


def _parameters(command: object) -> Iterator[typer.core.TyperOption | typer.core.TyperArgument]:
    yield from getattr(command, "params", ())
    for inner in getattr(command, "commands", {}).values():
        yield from _parameters(inner)

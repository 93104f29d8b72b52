"""``aigc plugins install, uninstall, enable, disable``."""

from __future__ import annotations

import os
import shlex
from typing import Annotated

import typer

from aigc_core.cli.output import error_console, printable, say
from aigc_core.errors import PluginError, UserError, did_you_mean
from aigc_core.plugins import InstalledPlugin, PluginStatus, find_installed
from aigc_core.plugins.installed import as_argument, matches_name, normal_name
from aigc_core.plugins.installer import (
    Target,
    every_target,
    find_targets,
    install_command,
    run_installer,
    uninstall_command,
)
from aigc_core.plugins.probe import probe_plugins
from aigc_core.plugins.user_state import disabled_plugins, set_disabled

NamesArgument = Annotated[
    list[str], typer.Argument(metavar="NAME…", help="Names of plugins or of their distributions.")
]


def add_commands(group: typer.Typer) -> None:
    """Add this file's commands."""
    group.command()(install)
    group.command()(uninstall)
    group.command()(enable)
    group.command()(disable)


def install(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME…]",
            help="A plugin or modality of the registry, a path, a wheel, or a requirement.",
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Install every plugin of the registry.")
    ] = False,
    editable: Annotated[
        bool, typer.Option("--editable", "-e", help="Run folders' code from where it is.")
    ] = False,
) -> None:
    """Install plugins with pip, and show what they brought."""
    if bool(names) == everything:
        raise UserError("Name what to install, or give --all for every plugin of the registry.")
    targets = every_target() if everything else find_targets(names or [])
    if not targets:
        raise PluginError("The registry has no plugin.")
    for target in targets:
        if target.registry is not None:
            say(error_console(), f"{target.distribution}, as {target.registry} says")
    before = find_installed()
    _run(install_command(targets, editable=editable))
    ours = _distributions(targets)
    brought = [
        status
        for status in probe_plugins(patient=True)
        if normal_name(status.distribution or "") in ours
        or not any(p.name == status.name and p.version == status.version for p in before)
    ]
    if not brought:
        what = ", ".join(target.argument for target in targets)
        if any(target.distribution is None for target in targets) and find_installed() == before:
            raise PluginError(
                f"{what} was installed already, nothing changed; or it brings no plugin of aigc."
            )
        raise PluginError(f"{what} was installed, and brings no plugin of aigc.")
    for status in brought:
        typer.echo(printable(_summary(status)))
    if any(status.broken for status in brought):
        raise typer.Exit(1)


def uninstall(names: NamesArgument) -> None:
    """Remove plugins with pip, broken ones too. Runs that they trained stay."""
    command, distributions = uninstall_command(names)
    before: list[InstalledPlugin] = []
    while left := [p for p in find_installed() if p.distribution in distributions]:
        if left == before:
            raise PluginError(
                f"pip has done its work, and metadata of {left[0].distribution} is still found: "
                f"{left[0].metadata_path or left[0].location}. Remove it by hand."
            )
        before = left
        _run(command)  # if versions are installed over one another, it removes only one
    typer.echo(f"Removed: {', '.join(distributions)}.")


def enable(names: NamesArgument) -> None:
    """Let plugins load again that were switched off."""
    for name in names:
        disabled = disabled_plugins()
        entry = _entry(name, also=disabled)
        meant = [plugin for plugin in find_installed() if matches_name(plugin, entry)]
        noted = [n for n in disabled if n == entry or any(matches_name(p, n) for p in meant)]
        changed = [set_disabled(other_name, False) for other_name in noted]
        typer.echo(f"{entry} is enabled." if changed else f"{entry} was enabled already.")


def disable(names: NamesArgument) -> None:
    """Switch plugins off for all later commands; they stay installed."""
    for name in names:
        entry = _entry(name)
        changed = set_disabled(entry, True)
        again = f"Again: aigc plugins enable {as_argument(entry)}"
        typer.echo(f"{entry} is disabled. {again}" if changed else f"{entry} was disabled already.")


def _distributions(targets: list[Target]) -> set[str]:
    """Return the distributions installed; unnamed targets are found by the source pip recorded."""
    names = {target.distribution for target in targets if target.distribution is not None}
    unnamed = {os.path.realpath(t.argument) for t in targets if t.distribution is None}
    for plugin in find_installed():
        if plugin.distribution and plugin.source and os.path.realpath(plugin.source) in unnamed:
            names.add(normal_name(plugin.distribution))
    return names


def _entry(name: str, also: tuple[str, ...] = ()) -> str:
    """Return a plugin's name for the user's file: its own, or its distribution's if shared."""
    installed = find_installed()
    found = [plugin for plugin in installed if matches_name(plugin, name)]
    if name in also:
        return name
    if not found:
        known = {n for p in installed for n in (p.name, p.distribution) if n} | set(also)
        raise PluginError(f"The plugin '{name}' is not installed.{did_you_mean(name, known)}")
    same_name = [plugin for plugin in installed if plugin.name == found[0].name]
    if len(same_name) > 1 and found[0].distribution:
        if len(found) > 1:
            names = ", ".join(str(plugin.distribution) for plugin in found)
            raise PluginError(f"Several distributions bring '{name}': {names}. Name one of them.")
        return found[0].distribution
    return found[0].name


def _run(command: list[str]) -> None:
    console = error_console()
    say(console, f"$ {shlex.join(command)}")
    run_installer(command, lambda line: say(console, f"  {line}"))


def _summary(status: PluginStatus) -> str:
    head = f"{status.name} ({status.distribution} {status.version}): {status.state}."
    if status.state != "active":
        return f"{head} {status.what_to_do}"
    kinds = {
        "modalities": status.modalities,
        "datasets": status.datasets,
        "recipes": status.recipes,
        "metrics": status.metrics,
    }
    brings = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in kinds.items() if names)
    return f"{head} It brings {brings or 'hooks: ' + ', '.join(status.hooks)}."

"""``aigc plugins``: what is installed, what could be, and what is wrong with it."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console

from aigc_core.cli import plugins_manage
from aigc_core.cli.output import JsonOption, print_json, print_listing, say
from aigc_core.cli.plugins_check import check
from aigc_core.cli.plugins_new import new
from aigc_core.config.descriptions import described_schema
from aigc_core.errors import PluginError, did_you_mean
from aigc_core.plugins import Catalogue, PluginStatus, host_options, load_catalogue
from aigc_core.plugins.installed import normal_name
from aigc_core.plugins.probe import probe_plugins

NameArgument = Annotated[str, typer.Argument(help="Name of a plugin or of its distribution.")]


def add_commands(app: typer.Typer, name: str) -> None:
    """Add this file's commands."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Install, check, write and switch off plugins.\n\nWorks when one of them is broken.",
    )
    group.command("list")(list_plugins)
    group.command("info")(info)
    group.command("check")(check)
    group.command("new")(new)
    plugins_manage.add_commands(group)
    group.command()(schema)
    app.add_typer(group, name="plugins")


def list_plugins(as_json: JsonOption = False) -> None:
    """List plugins, installed or not, and what is wrong with them.

    With --strict, the exit code is 2 if anything is wrong.
    """
    statuses, catalogue = probe_plugins(), load_catalogue()
    rows = [_row(status) for status in statuses] + _not_installed(catalogue, statuses)
    columns = ["plugin", "status", "distribution", "version", "modalities", "recipes"]
    print_listing(rows, columns, as_json)
    if not as_json:
        console = Console(highlight=False)
        for status in statuses:
            if status.state != "active":
                say(console, f"{status.name}: {status.state}. {status.what_to_do}")
            if status.warning:
                say(console, f"{status.name}: warning. {status.warning}")
    faulty = [status.name for status in statuses if status.broken or status.warning]
    if faulty and host_options().strict:
        raise PluginError(f"Not in order, and --strict makes that an error: {', '.join(faulty)}.")


def info(name: NameArgument, as_json: JsonOption = False) -> None:
    """Show all that is known of a plugin, installed or not."""
    statuses, catalogue = probe_plugins(patient=True), load_catalogue()
    known = [_row(status) for status in statuses] + _not_installed(catalogue, statuses)
    rows = [
        row
        for row in known
        if name == row["plugin"] or normal_name(name) == normal_name(row["distribution"] or "")
    ]
    if not rows:
        names = {str(n) for row in known for n in (row["plugin"], row["distribution"]) if n}
        raise PluginError(f"There is no plugin '{name}'.{did_you_mean(name, names)}")
    if as_json:
        print_json(rows[0])
        return
    console = Console(highlight=False)
    for key, value in rows[0].items():
        text = ", ".join(value) if isinstance(value, list) else value
        if text not in (None, ""):
            say(console, f"{key.replace('_', ' ')}: {text}")


def _row(status: PluginStatus) -> dict[str, Any]:
    data = status.to_dict()
    return {"plugin": data.pop("name"), "status": data.pop("state"), **data}


def _not_installed(catalogue: Catalogue, statuses: list[PluginStatus]) -> list[dict[str, Any]]:
    installed = {normal_name(status.distribution or "") for status in statuses}
    return [
        {
            **dict.fromkeys(_row(PluginStatus("", ""))),
            "status": "not installed",
            "distribution": name,
            "hooks": [],
            "modalities": list(plugin.modalities),
            "datasets": list(plugin.datasets),
            "recipes": list(plugin.recipes),
            "metrics": list(plugin.metrics),
            "fix": f"aigc plugins install {name}",
        }
        for name, plugin in catalogue.plugins.items()
        if normal_name(name) not in installed
    ]


def schema() -> None:
    """Print the JSON Schema of registry.yaml, for an editor."""
    print_json(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            **described_schema(Catalogue),
        }
    )

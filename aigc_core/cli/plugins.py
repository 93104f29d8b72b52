"""``aigc plugins``."""

from __future__ import annotations

from typing import Any

import typer

from aigc_core.cli.output import JsonOption, print_listing
from aigc_core.plugins import get_host, load_catalogue


def add_commands(app: typer.Typer) -> None:
    """Add this file's commands."""
    group = typer.Typer(no_args_is_help=True, help="What is installed, and what could be.")
    group.command("list")(list_plugins)
    app.add_typer(group, name="plugins")


def list_plugins(as_json: JsonOption = False) -> None:
    """List installed plugins, with what is wrong with those that do not load, and the catalogue."""
    host, catalogue = get_host(), load_catalogue()
    rows: list[dict[str, Any]] = [
        {
            "plugin": status.name,
            "status": status.state,
            "distribution": status.distribution,
            "version": status.version,
            "modalities": status.modalities,
            "recipes": status.recipes,
            "datasets": status.datasets,
            "error": status.error,
        }
        for status in host.statuses.values()
    ]
    installed = {row["distribution"] for row in rows}
    rows += [
        {
            "plugin": None,
            "status": "not installed",
            "distribution": name,
            "version": None,
            "modalities": list(plugin.modalities),
            "recipes": list(plugin.recipes),
            "datasets": list(plugin.datasets),
            "error": None,
        }
        for name, plugin in catalogue.plugins.items()
        if name not in installed
    ]
    columns = ["plugin", "status", "distribution", "version", "modalities", "recipes"]
    if any(row["error"] for row in rows):
        columns.append("error")
    print_listing(rows, columns, as_json)

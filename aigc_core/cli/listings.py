"""``aigc recipes``, ``datasets``, ``modalities`` and ``metrics``."""

from __future__ import annotations

import typer

from aigc_core.cli.output import JsonOption, error_console, print_listing, say
from aigc_core.plugins import get_host, load_catalogue
from aigc_core.plugins.installed import normal_name


def add_commands(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command()(recipes)
    app.command()(datasets)
    app.command()(modalities)
    app.command()(metrics)


def recipes(as_json: JsonOption = False) -> None:
    """List what can be trained."""
    host = get_host()
    rows = [
        {
            "recipe": spec.name,
            "dataset": spec.dataset,
            "presets": list(spec.presets),
            "plugin": host.owner("recipe", spec.name),
            "summary": spec.summary,
        }
        for spec in host.recipes.values()
    ]
    print_listing(rows, ["recipe", "dataset", "presets", "plugin", "summary"], as_json)
    if not rows:
        idle = [status.name for status in host.statuses.values() if status.state != "active"]
        why = f"not active: {', '.join(idle)}" if idle else "no plugin is installed"
        say(error_console(), f"There is nothing to train ({why}). See: aigc plugins list")


def datasets(as_json: JsonOption = False) -> None:
    """List the data that recipes can be trained on."""
    host = get_host()
    rows = [
        {
            "dataset": spec.name,
            "modality": spec.modality,
            "embedded": spec.embedded,
            "splits": list(spec.splits),
            "plugin": host.owner("dataset", spec.name),
            "licence": spec.licence or None,
            "homepage": spec.homepage or None,
            "summary": spec.summary,
        }
        for spec in host.datasets.values()
    ]
    print_listing(rows, ["dataset", "modality", "plugin", "licence", "summary"], as_json)


def modalities(as_json: JsonOption = False) -> None:
    """List the kinds of content: those that plugins bring, and the catalogue's empty slots."""
    host, catalogue = get_host(), load_catalogue()
    rows = []
    for name in dict.fromkeys((*catalogue.modalities, *host.modalities)):
        slot, spec = catalogue.modalities.get(name), host.modalities.get(name)
        if spec is not None:
            status, plugin = "active", host.owner("modality", name)
        elif slot is not None and slot.plugin is not None:
            plugin = slot.plugin
            status = f"not installed, get it with: aigc plugins install {plugin}"
            for idle in host.statuses.values():
                if normal_name(idle.distribution or "") == plugin:
                    status = f"{idle.state}, see: aigc plugins info {plugin}"
        else:
            status = f"empty, fill it with: aigc plugins new NAME --modality {name}"
            plugin = None
        summary = spec.summary if spec else slot.summary if slot else ""
        rows.append({"modality": name, "status": status, "plugin": plugin, "summary": summary})
    print_listing(rows, ["modality", "status", "plugin", "summary"], as_json)


def metrics(as_json: JsonOption = False) -> None:
    """List by what samples can be compared with data: see `aigc evaluate`."""
    host = get_host()
    rows = [
        {
            "metric": spec.name,
            "modality": spec.modality or "any",
            "samples": spec.samples,
            "plugin": host.owner("metric", spec.name),
            "summary": spec.summary,
        }
        for spec in host.metrics.values()
    ]
    print_listing(rows, ["metric", "modality", "samples", "plugin", "summary"], as_json)

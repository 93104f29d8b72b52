"""``aigc recipes``, ``datasets``, ``modalities`` and ``metrics``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aigc_core.cli.output import JsonOption, error_console, print_json, print_listing, say
from aigc_core.cli.settings import SetOption, overrides_from
from aigc_core.files import relative_path
from aigc_core.plugins import get_host, load_catalogue
from aigc_core.plugins.installed import normal_name


def add_commands(app: typer.Typer, name: str) -> None:
    """Add one of this file's commands."""
    if name == "datasets":
        group = typer.Typer(
            help="List what to train on, look at some of it, or prepare it.",
            invoke_without_command=True,
        )
        group.callback()(datasets)
        group.command()(preview)
        group.command()(pack)
        app.add_typer(group, name="datasets")
    else:
        app.command()({"recipes": recipes, "modalities": modalities, "metrics": metrics}[name])


def recipes(as_json: JsonOption = False) -> None:
    """List what can be trained."""
    host = get_host()
    rows = [
        {
            "recipe": spec.name,
            "family": spec.family or None,
            "dataset": spec.dataset,
            "presets": list(spec.presets),
            "plugin": host.owner("recipe", spec.name),
            "summary": spec.summary,
        }
        for spec in host.recipes.values()
    ]
    print_listing(rows, ["recipe", "dataset", "presets", "plugin", "summary"], as_json)
    if not rows:
        idle = [status.name for status in host.statuses if status.state != "active"]
        why = f"not active: {', '.join(idle)}" if idle else "no plugin is installed"
        say(error_console(), f"There is nothing to train ({why}). See: aigc plugins list")


def datasets(context: typer.Context, as_json: JsonOption = False) -> None:
    """List what to train on, look at some of it, or prepare it."""
    if context.invoked_subcommand is not None:
        return
    host = get_host()
    rows = [
        {
            "dataset": spec.name,
            "modality": spec.modality,
            "embedded": spec.embedded,
            "splits": list(spec.splits),
            "columns": dict(spec.columns),
            "plugin": host.owner("dataset", spec.name),
            "licence": spec.licence or None,
            "homepage": spec.homepage or None,
            "summary": spec.summary,
        }
        for spec in host.datasets.values()
    ]
    print_listing(rows, ["dataset", "modality", "plugin", "licence", "summary"], as_json)


def preview(
    name: Annotated[str, typer.Argument(help="Which data: see `aigc datasets`.")],
    recipe: Annotated[
        str | None, typer.Option(help="A recipe, where several modalities have such a dataset.")
    ] = None,
    data_root: Annotated[str | None, typer.Option(help="Folder to read data from.")] = None,
    set_: SetOption = None,
    split: Annotated[str, typer.Option(help="Which part of the data.")] = "train",
    count: Annotated[int, typer.Option(help="How many samples to show.")] = 64,
    seed: Annotated[int, typer.Option(help="Another seed shows other samples.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="The file to write, without suffix; otherwise NAME-preview.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show samples of a dataset as networks will see them."""
    from aigc_core.api import preview_dataset

    found = preview_dataset(
        name,
        out=out or Path(f"{name}-preview"),
        recipe=recipe,
        split=split,
        count=count,
        seed=seed,
        overrides=overrides_from(set_),
        data_root=data_root,
    )
    if as_json:
        print_json(
            {
                "preview": str(found.path),
                "count": found.count,
                "spec": found.spec.model_dump(mode="json"),
                "labels": dict(found.labels),
                "notes": list(found.notes),
            }
        )
        return
    console = error_console()
    for note in found.notes:
        say(console, f"Note: {note}")
    say(console, f"{found.count:,} samples, {found.spec.dtype} {found.spec.shape}.")
    if found.labels:
        rows = [{"class": label, "samples": number} for label, number in found.labels.items()]
        print_listing(rows, ["class", "samples"], False)
    say(console, f"Preview: {relative_path(found.path)}")


def pack(
    name: Annotated[
        str, typer.Argument(metavar="NAME|FOLDER", help="Which data, or a folder of your files.")
    ],
    recipe: Annotated[
        str | None, typer.Option(help="A recipe, where several modalities have such a dataset.")
    ] = None,
    data_root: Annotated[str | None, typer.Option(help="Folder to read data from.")] = None,
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prepare data before a training does, in the cache.

    Give the same --data-root and settings (--set dataset.options.size=64) to the training, which
    then starts at once. A preparation that was stopped continues.
    """
    from aigc_core.api import pack_dataset

    found = pack_dataset(name, recipe=recipe, overrides=overrides_from(set_), data_root=data_root)
    if as_json:
        path = None if found.path is None else str(found.path)
        columns = {column: list(shape) for column, shape in found.columns.items()}
        facts = {"dataset": found.dataset, "path": path, "count": found.count}
        print_json({**facts, "bytes": found.bytes, "columns": columns, "notes": list(found.notes)})
        return
    console = error_console()
    for note in found.notes:
        say(console, f"Note: {note}")
    where = "prepared" if found.path is None else f"packed in {found.path}"
    say(console, f"{found.dataset}: {found.count:,} samples, {found.bytes / 1e6:,.1f} MB, {where}")


def modalities(as_json: JsonOption = False) -> None:
    """List the kinds of content, and who brings them.

    A kind in the catalogue that no plugin brings yet is shown as empty.
    """
    host, catalogue = get_host(), load_catalogue()
    rows = []
    for name in dict.fromkeys((*catalogue.modalities, *host.modalities)):
        slot, spec = catalogue.modalities.get(name), host.modalities.get(name)
        if spec is not None:
            status, plugin = "active", host.owner("modality", name)
        elif slot is not None and slot.plugin is not None:
            plugin = slot.plugin
            status = f"not installed, get it with: aigc plugins install {plugin}"
            for idle in host.statuses:
                if normal_name(idle.distribution or "") == plugin:
                    status = f"{idle.state}, see: aigc plugins info {plugin}"
        else:
            status = f"empty, fill it with: aigc plugins new NAME --modality {name}"
            plugin = None
        summary = spec.summary if spec else slot.summary if slot else ""
        rows.append({"modality": name, "status": status, "plugin": plugin, "summary": summary})
    print_listing(rows, ["modality", "status", "plugin", "summary"], as_json)


def metrics(as_json: JsonOption = False) -> None:
    """List what `aigc evaluate` can measure."""
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

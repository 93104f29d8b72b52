"""``aigc show``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from aigc_core.cli.output import JsonOption, print_json, say
from aigc_core.cli.settings import CheckpointOption, complete_runs
from aigc_core.errors import UserError
from aigc_core.files import relative_path

RunOrFileArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN|FILE",
        help="A run's folder: see `aigc runs`. Or a file or folder that `aigc generate` wrote.",
        autocompletion=complete_runs,
    ),
]


def add_commands(app: typer.Typer, name: str) -> None:
    """Add this file's command."""
    app.command()(show)


def show(
    run: RunOrFileArgument, checkpoint: CheckpointOption = None, as_json: JsonOption = False
) -> None:
    """Show what a run can be asked for, or how a generated file was made."""
    if _is_generated(Path(os.path.expanduser(run))):
        if checkpoint is not None:
            raise UserError("--checkpoint goes with a run, and a file is of one.")
        _show_origin(run, as_json)
        return
    from aigc_core.api import open_sampler

    sampler = open_sampler(run, checkpoint=checkpoint, device="cpu")
    about = sampler.describe()
    if as_json:
        print_json(about)
        return
    console = Console(highlight=False, soft_wrap=True)
    ended = f" ({about['ended']})" if about["ended"] else ""
    say(console, f"{about['recipe']}, trained on {about['dataset']}")
    say(console, f"  step {about['step']:,} of {about['steps']:,}, {about['status']}{ended}")
    if about["best"]:
        say(console, f"  best: {about['best']}")
    if about["privacy"]:
        spent = about["privacy"]
        say(console, f"  private: epsilon {spent['epsilon']:.4g} at delta {spent['delta']:g}")
    for name, found in about["parents"].items():
        say(console, f"  {name}: {found['recipe']}, step {found['step']:,} of {found['run']}")
    if about["initial"]:
        say(console, f"  started from: {about['initial']['source']}")
    spec = about["sample"]
    say(console, f"  a sample: {about['modality']}, {spec['dtype']} {tuple(spec['shape'])}")
    for unit, value in spec["units"].items():
        say(console, f"    {unit}: {value:g}")
    for column, found in list(about["outputs"].items())[1:]:
        say(console, f"  with it: {column}, {found['modality']}")
    _show_conditions(console, about["conditions"])
    _show_controls(console, about["controls"].get("properties", {}))


def _show_conditions(console: Console, conditions: dict[str, Any]) -> None:
    if conditions:
        say(console, "Can be given (aigc generate):")
    for name, found in conditions.items():
        kind = f"{found['modality']} file" if found["kind"] == "file" else found["kind"]
        needed = "needed" if found["required"] else "optional"
        classes = found.get("classes")
        what = f": {', '.join(classes)}" if classes else ""
        say(console, f"  {found['option']:24} {name}, {kind}{what}; {needed}")


def _show_controls(console: Console, controls: dict[str, Any]) -> None:
    if controls:
        say(console, "Can be set (aigc generate --set):")
    for name, field in controls.items():
        value = "null" if field.get("default") is None else field["default"]
        say(console, f"  {f'{name}={value}':24} {field.get('description', '')}")


def _is_generated(path: Path) -> bool:
    """Whether a path is that of a file, or of a folder of samples: with a manifest, and no run."""
    if path.is_file():
        return True
    others = [path / "config.yaml", path / "aigc.yaml"]
    return (path / "manifest.json").is_file() and not any(other.exists() for other in others)


def _show_origin(path: str, as_json: bool) -> None:
    from aigc_core.api.made_by import origin_of

    origin = origin_of(path)
    record, made_by = origin.record, origin.record["run"]
    run = None if origin.run is None else relative_path(origin.run.path)
    if as_json:
        found = {"source": str(origin.source), "found_run": run, "command": origin.command}
        print_json({**record, **found, "label": origin.label})
        return
    console = Console(highlight=False, soft_wrap=True)
    say(console, f"Made by {record['made_by']}: {record.get('recipe')}, {record.get('program')}")
    say(console, f"  step {made_by['step']} of {run or 'a run that is not here'}")
    say(console, f"  digest of its weights: {made_by.get('digest')}")
    for name, value in record["request"].items():
        say(console, f"  {name}: {value}")
    if "sample" in record:
        say(console, f"  this is its sample {record['sample']} {record.get('output', '')}".rstrip())
    say(console, f"  on {record.get('device')}, with torch {record.get('torch')}")
    if origin.label is not None:
        say(console, f"  AIGC: {origin.label}")
    if origin.source != Path(os.path.expanduser(path)):
        say(console, f"  as said by {relative_path(origin.source)}")
    if origin.command is None:
        say(console, "No command makes it again: an array or long text it was given is not kept.")
    else:
        say(console, "The same bytes again, with these versions on such a machine:")
        say(console, f"  {origin.command}")

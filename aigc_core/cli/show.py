"""``aigc show``."""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console

from aigc_core.cli.output import JsonOption, print_json, say
from aigc_core.cli.settings import CheckpointOption, RunArgument


def add_commands(app: typer.Typer, name: str) -> None:
    """Add this file's command."""
    app.command()(show)


def show(
    run: RunArgument, checkpoint: CheckpointOption = None, as_json: JsonOption = False
) -> None:
    """Show what a run is, and what it can be asked for."""
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

"""``aigc doctor``."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path
from typing import Any

import typer

from aigc_core._version import __version__
from aigc_core.cli.output import JsonOption, print_json
from aigc_core.errors import AigcError
from aigc_core.plugins import get_host, load_catalogue
from aigc_core.plugins.catalogue import find_catalogue


def add_commands(app: typer.Typer, name: str) -> None:
    """Add this file's command."""
    app.command()(doctor)


def doctor(as_json: JsonOption = False) -> None:
    """Check this installation.

    Versions, device, precision, data folders and plugins. The exit code is 1 when something is
    wrong.
    """
    facts: dict[str, Any] = {
        "aigc": __version__,
        "python": f"{platform.python_version()} on {platform.platform()}",
    }
    problems: list[str] = []
    _check_torch(facts, problems)
    _check_folders(facts, problems)
    host = get_host()
    facts["plugins"] = [
        f"{s.name} {s.version or ''} {'' if s.state == 'active' else s.state}".strip()
        for s in host.statuses
    ]
    problems += [f"The plugin '{s.name}': {s.what_to_do}" for s in host.broken()]
    problems += [f"The plugin '{s.name}': {s.warning}" for s in host.statuses if s.warning]
    if not host.statuses:
        problems.append("No plugin is installed: there is nothing to train. See: aigc modalities")
    try:
        facts["registry"] = str(find_catalogue())
        load_catalogue()
    except AigcError as error:
        problems.append(str(error))
    if as_json:
        print_json({**facts, "problems": problems})
    else:
        for name, value in facts.items():
            shown = ", ".join(value) if isinstance(value, list) else value
            typer.echo(f"{name.replace('_', ' ')}: {shown}")
        typer.echo("\n".join(problems) if problems else "No problems found.")
    if problems:
        raise typer.Exit(1)


def _check_torch(facts: dict[str, Any], problems: list[str]) -> None:
    try:
        import torch

        from aigc_core.engine import choose_device, choose_precision, describe_device
    except (ImportError, OSError) as error:
        problems.append(f"PyTorch cannot be imported: {error}. See requirements.txt.")
        return
    device = choose_device("auto")
    facts["torch"] = torch.__version__
    facts["device"] = describe_device(device)
    facts["precision"] = f"{choose_precision('auto', device)} (what auto chooses here)"
    try:
        torch.ones(2, device=device).sum().item()
    except RuntimeError as error:
        problems.append(f"The device {device} does not compute: {error}")


def _check_folders(facts: dict[str, Any], problems: list[str]) -> None:
    from aigc_core.config import cache_folder, data_root

    try:
        facts["data"] = str(data_root(None) or "AIGC_DATA_DIR is not set: datasets are downloaded")
    except AigcError as error:
        problems.append(str(error))
    for name, folder in (("cache", cache_folder()), ("runs", Path("runs").absolute())):
        existing = folder
        while not existing.exists():
            existing = existing.parent
        free = shutil.disk_usage(existing).free / 2**30
        facts[name] = f"{folder} ({free:,.1f} GiB free)"
        if not existing.is_dir() or not os.access(existing, os.W_OK):
            problems.append(f"The {name} folder {folder} cannot be written.")
        elif free < 1:
            problems.append(f"The {name} folder {folder} has less than 1 GiB free.")

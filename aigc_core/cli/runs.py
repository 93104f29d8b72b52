"""``aigc runs``."""

from __future__ import annotations

import contextlib
import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from aigc_core.cli.output import JsonOption, error_console, print_listing, say
from aigc_core.errors import AigcError, RunError
from aigc_core.files import relative_path
from aigc_core.runs import Run, find_runs


def add_commands(app: typer.Typer, name: str) -> None:
    """Add this file's command."""
    app.command()(runs)


def runs(
    folder: Annotated[Path, typer.Argument(help="Where to look.")] = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """List runs, with how far they are."""
    if not folder.exists() and folder != Path("runs"):
        raise RunError(f"There is no folder {folder}.")
    rows = [_row(run) for run in find_runs(folder)]
    if not rows and not as_json:
        say(error_console(), f"No runs in {folder} yet. Make one: aigc train RECIPE")
        return
    columns = ["run", "recipe", "dataset", "started", "step", "steps", "status"]
    columns += [name for name in ("ended", "best") if any(row[name] for row in rows)]
    if any(row["error"] for row in rows):
        columns.append("error")
    if not as_json:
        rows = [{**row, "run": relative_path(Path(row["run"])), **_in_words(row)} for row in rows]
    print_listing(rows, columns, as_json)


def _row(run: Run) -> dict[str, Any]:
    try:
        ending, best = run.ending, run.best
        last, status = run.metrics.last(), run.status
        logged = int((last or {}).get("step") or 0) if status == "training" else 0
        return {
            "run": str(run.path),
            "recipe": run.recipe,
            "dataset": run.config["dataset"]["name"],
            "started": _started(run),
            "step": max(run.step, logged),
            "steps": run.total_steps,
            "status": status,
            "ended": ending.model_dump() if ending else None,
            "best": best.model_dump() if best else None,
            "samples": str(run.latest_preview) if run.latest_preview else None,
            "metrics": last,
            "error": None,
        }
    except (AigcError, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        keys = ("recipe", "dataset", "started", "step", "steps", "samples", "metrics")
        unknown = dict.fromkeys(keys)
        unknown |= {"ended": None, "best": None}
        return {"run": str(run.path), **unknown, "status": "damaged", "error": str(error)}


def _started(run: Run) -> str | None:
    """Return when a run was started, as ISO 8601 in UTC; None if it is not recorded."""
    try:
        started = run.environment.get("started")
    except AigcError:
        return None
    return started if isinstance(started, str) else None


def _in_words(row: dict[str, Any]) -> dict[str, Any]:
    """Return the table's cells for a run's start, end and best validation."""
    ended, best = row["ended"], row["best"]
    started = None
    if row["started"]:
        with contextlib.suppress(ValueError):
            moment = datetime.datetime.fromisoformat(row["started"]).astimezone()
            started = moment.strftime("%Y-%m-%d %H:%M")
    return {
        "started": started,
        "ended": ended["reason"] if ended else None,
        "best": f"{best['metric']} {best['value']:.6g} at {best['step']}" if best else None,
    }

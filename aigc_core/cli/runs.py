"""``aigc runs``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from aigc_core.cli.output import JsonOption, error_console, print_listing, say
from aigc_core.errors import AigcError, RunError
from aigc_core.files import shown
from aigc_core.runs import Run, find_runs


def add_commands(app: typer.Typer) -> None:
    """Add this file's commands."""
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
    columns = ["run", "recipe", "dataset", "step", "steps", "status"]
    columns += [name for name in ("ended", "best") if any(row[name] for row in rows)]
    if any(row["error"] for row in rows):
        columns.append("error")
    if not as_json:
        rows = [{**row, "run": shown(Path(row["run"])), **_in_words(row)} for row in rows]
    print_listing(rows, columns, as_json)


def _row(run: Run) -> dict[str, Any]:
    try:
        ending, best = run.ending, run.best
        last = run.metrics.last()
        return {
            "run": str(run.path),
            "recipe": run.recipe,
            "dataset": run.config["dataset"]["name"],
            "step": run.step,
            "steps": run.total_steps,
            "status": run.status,
            "ended": ending.model_dump() if ending else None,
            "best": best.model_dump() if best else None,
            "samples": str(run.latest_preview) if run.latest_preview else None,
            "metrics": last,
            "error": None,
        }
    except (AigcError, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        unknown = dict.fromkeys(("recipe", "dataset", "step", "steps", "samples", "metrics"))
        unknown |= {"ended": None, "best": None}
        return {"run": str(run.path), **unknown, "status": "damaged", "error": str(error)}


def _in_words(row: dict[str, Any]) -> dict[str, Any]:
    """Return what a cell of the table can say of a run's end and of its best validation."""
    ended, best = row["ended"], row["best"]
    return {
        "ended": ended["reason"] if ended else None,
        "best": f"{best['metric']} {best['value']:.6g} at {best['step']}" if best else None,
    }

"""``aigc train`` and ``aigc resume``."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from aigc_core import api
from aigc_core.api.launch import check_launch, check_restarts, launch
from aigc_core.cli import listings
from aigc_core.cli.global_options import global_options_in
from aigc_core.cli.output import error_console, print_json, say
from aigc_core.cli.settings import (
    ConfigOption,
    DatasetOption,
    PresetOption,
    RecipeArgument,
    RunArgument,
    SetOption,
    overrides_from,
)
from aigc_core.config import Layer, given_settings, resolve_config
from aigc_core.config.layers import leaves, nest
from aigc_core.errors import Interrupted, Terminated, UserError
from aigc_core.files import relative_path, typed
from aigc_core.plugins import get_host, hookimpl
from aigc_core.runs import Run, open_run
from aigc_core.workers import is_first

QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress.")]
UntilOption = Annotated[
    str | None,
    typer.Option(
        metavar="STANDARD",
        help='End when a validation meets this: "validation/loss<=1.85"; steps stay the limit.',
    ),
]
MaxTimeOption = Annotated[
    str | None, typer.Option(metavar="TIME", help="End after this much training: 30m, 1h30m.")
]
NprocOption = Annotated[
    int | None,
    typer.Option("--nproc", metavar="N", help="Share the training among N processes, a GPU each."),
]
MaxRestartsOption = Annotated[
    int,
    typer.Option("--max-restarts", metavar="N", help="With --nproc: start all again if one fails."),
]
JsonResultOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def add_commands(app: typer.Typer, name: str) -> None:
    """Add one of this file's commands."""
    command: Callable[..., None] = train if name == "train" else resume
    app.command(name)(command)


def train(
    recipe: RecipeArgument = None,
    dataset: DatasetOption = None,
    data_root: Annotated[
        str | None,
        typer.Option(help="Folder to read data from; otherwise AIGC_DATA_DIR, or a download."),
    ] = None,
    preset: PresetOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    steps: Annotated[int | None, typer.Option(help="Train for this many steps.")] = None,
    epochs: Annotated[
        float | None, typer.Option(help="Or for this many passes over the data.")
    ] = None,
    until: UntilOption = None,
    max_time: MaxTimeOption = None,
    batch_size: Annotated[int | None, typer.Option(help="Samples per optimiser update.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32, bf16.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="The run's folder; otherwise below runs/.")
    ] = None,
    parent: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=RUN",
            help="A trained run that the recipe builds on; RUN@best, RUN@500. Repeatable.",
        ),
    ] = None,
    init_from: Annotated[
        str | None,
        typer.Option(
            metavar="RUN|FILE", help="Start from a run's weights, or a .safetensors file's."
        ),
    ] = None,
    strict_init: Annotated[
        bool, typer.Option("--strict-init", help="Refuse weights that do not all fit.")
    ] = False,
    nproc: NprocOption = None,
    max_restarts: MaxRestartsOption = 0,
    no_start: Annotated[
        bool,
        typer.Option("--no-start", help="Only make the run; aigc resume starts it."),
    ] = False,
    lr: Annotated[float | None, typer.Option("--lr", hidden=True)] = None,
    as_json: JsonResultOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a recipe in a new run.

    Settings, weakest first: the recipe's defaults, --preset, --config, --set and the other options.
    `aigc config show RECIPE` shows them all, and where each comes from.
    """
    if recipe is None:
        listings.recipes()
        raise UserError("Name what to train: aigc train RECIPE, such as one of these.")
    if lr is not None:
        raise UserError(_where_rates_are(recipe, lr))
    check_restarts(nproc, max_restarts)

    def begin(console: Console, observers: list[object]) -> Run:
        return api.train(
            recipe,
            dataset=dataset,
            data_root=data_root,
            preset=preset,
            config=config,
            overrides=overrides_from(set_),
            steps=steps,
            epochs=epochs,
            until=until,
            max_time=max_time,
            batch_size=batch_size,
            seed=seed,
            device=device,
            precision=precision,
            out=out,
            parents=_named_runs(parent or ()),
            init_from=init_from,
            strict_init=strict_init,
            observers=observers,
            progress=console,
            nproc=nproc,
            start=alone,
        )

    alone = not no_start and nproc in (None, 1)
    if alone:
        _run(begin, quiet, as_json)
        return
    if quiet:
        _only_warnings()
    run = begin(error_console(quiet), [])
    if not no_start:
        flags = ["--quiet"] * quiet + ["--json"] * as_json
        worker = [*global_options_in(sys.argv[1:]), "resume", str(run.path), *flags]
        launch(run, nproc or 1, worker, max_restarts)
        return
    if as_json:
        print_json(_result(run, "unfinished"))
    else:
        print(run.path)
    say(error_console(quiet), f"Start it with: aigc resume {typed(run.path)}")


def resume(
    run: RunArgument,
    set_: SetOption = None,
    steps: Annotated[int | None, typer.Option(help="Train on until this many steps.")] = None,
    epochs: Annotated[
        float | None, typer.Option(help="Or until this many passes over the data.")
    ] = None,
    until: UntilOption = None,
    max_time: MaxTimeOption = None,
    data_root: Annotated[str | None, typer.Option(help="Where the data is now.")] = None,
    device: Annotated[str | None, typer.Option(help="Another device than before.")] = None,
    allow_changes: Annotated[
        bool,
        typer.Option(
            "--allow-changes",
            help="Take config.yaml and dataset.json as they are, although they were edited.",
        ),
    ] = False,
    keep_schedule: Annotated[
        bool,
        typer.Option(
            "--keep-schedule",
            help="With --steps: schedules of the learning rate end where they did.",
        ),
    ] = False,
    nproc: NprocOption = None,
    max_restarts: MaxRestartsOption = 0,
    as_json: JsonResultOption = False,
    quiet: QuietOption = False,
) -> None:
    """Resume a run exactly, from its newest checkpoint.

    The result has the same bytes as if the run had not stopped.
    """
    check_restarts(nproc, max_restarts)
    if nproc not in (None, 1):
        opened = open_run(run)
        given = given_settings(overrides_from(set_), device=device)
        layers = [opened.layer, Layer("given settings", nest(given))]
        config = resolve_config(get_host(), opened.recipe, layers=layers).config
        check_launch(config.engine, nproc)
        launch(opened, nproc, _without_processes(sys.argv[1:]), max_restarts)
        return

    def begin(console: Console, observers: list[object]) -> Run:
        return api.resume(
            run,
            data_root=data_root,
            overrides=overrides_from(set_),
            steps=steps,
            epochs=epochs,
            until=until,
            max_time=max_time,
            device=device,
            allow_changes=allow_changes,
            keep_schedule=keep_schedule,
            observers=observers,
            progress=console,
        )

    _run(begin, quiet, as_json)


def _run(begin: Callable[[Console, list[object]], Run], quiet: bool, as_json: bool) -> None:
    """Train, and say how it ended and what to do next."""
    speaks = is_first()  # of several processes, one does
    console = error_console(quiet or not speaks)
    if quiet or not speaks:
        _only_warnings()
    observers: list[object] = [_PrintPath()] if quiet and not as_json else []
    as_json = as_json and speaks
    try:
        run = begin(console, observers)
    except Interrupted as stop:
        if as_json and stop.run is not None:
            print_json(_result(stop.run, "unfinished"))
        say(error_console(not speaks), str(stop))
        raise Terminated(stop.exit_code) from None
    if as_json:
        print_json(_result(run, "complete"))
    ending, best = run.ending, run.best
    said = f": {ending.message}" if ending else ""
    say(console, f"Done in {run.train_seconds:,.0f} s{said}.")
    if run.latest_preview:
        say(console, f"Samples: {relative_path(run.latest_preview)}")
    say(console, f"More: aigc generate {typed(run.path)}")
    if best and best.step != run.step:
        command = f"aigc generate {typed(run.path)} --checkpoint best"
        say(console, f"Best: {best}. Its samples: {command}")


def _only_warnings() -> None:
    logging.getLogger("aigc").setLevel(logging.WARNING)


def _without_processes(arguments: Sequence[str]) -> list[str]:
    """Return a command line without the options that are for the process that launches others."""
    kept, remaining = [], list(arguments)
    while remaining:
        argument = remaining.pop(0)
        name, equals, _ = argument.partition("=")
        if name not in ("--nproc", "--max-restarts"):
            kept.append(argument)
        elif not equals:
            remaining.pop(0)
    return kept


def _named_runs(texts: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, equals, run = text.partition("=")
        if not equals or not name or not run:
            raise UserError(f"--parent {text} is not valid: it takes NAME=RUN.")
        if name in found:
            raise UserError(f"--parent {name} is given twice: {found[name]} and {run}.")
        found[name] = run
    return found


def _where_rates_are(recipe: str, lr: float) -> str:
    """Return a message that names the settings of a recipe's learning rates."""
    values = resolve_config(get_host(), recipe).config.to_dict()
    keys = [key for key, _ in leaves(values) if key.split(".")[-1] == "lr"]
    each = " ".join(f"--set {key}={lr:g}" for key in keys)
    return f"There is no --lr: each optimiser has a rate of its own. Give: {each}"


class _PrintPath:
    """Prints the run's folder, and nothing else, as soon as it exists: for scripts."""

    @hookimpl
    def aigc_run_started(self, run: Run) -> None:
        try:
            print(run.path, flush=True)
        except OSError as error:  # output is never a reason to stop
            logging.getLogger("aigc").warning("The run is %s (%s).", run.path, error)


def _result(run: Run, status: str) -> dict[str, Any]:
    ending, best, preview = run.ending, run.best, run.latest_preview
    return {
        "run": str(run.path),
        "status": status,
        "step": run.step,
        "ended": ending.reason if ending else None,
        "message": ending.message if ending else None,
        "best": best.model_dump() if best else None,
        "samples": str(preview) if preview else None,
        "seconds": round(run.train_seconds, 3),
    }

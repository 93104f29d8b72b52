"""``aigc train`` and ``aigc resume``."""

from __future__ import annotations

import contextlib
import errno
import logging
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from aigc_core.cli.output import error_console, print_json, say, shown, typed
from aigc_core.cli.settings import ConfigOption, DatasetOption, PresetOption, SetOption, layers_from
from aigc_core.config import parse_standard, resolve_config
from aigc_core.errors import Interrupted, StorageError
from aigc_core.plugins import get_host
from aigc_core.runs import open_run

if TYPE_CHECKING:
    from aigc_core.api.prepare import Training

_DISK_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", None)}  # Windows has no quota error

QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress.")]
UntilOption = Annotated[
    str | None,
    typer.Option(
        metavar="STANDARD",
        help='End when a validation meets this: "validation/loss<=1.85"; steps stay the limit.',
    ),
]
JsonResultOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def add_commands(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command()(train)
    app.command()(resume)


def train(
    recipe: Annotated[str, typer.Argument(help="What to train: see `aigc recipes`.")],
    dataset: DatasetOption = None,
    data_root: Annotated[
        str | None,
        typer.Option(help="Folder to read data from; otherwise AIGC_DATA_DIR, or a download."),
    ] = None,
    preset: PresetOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    steps: Annotated[int | None, typer.Option(help="Train for so many steps.")] = None,
    epochs: Annotated[
        float | None, typer.Option(help="Or for so many passes over the data.")
    ] = None,
    until: UntilOption = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32, bf16.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="The run's folder; otherwise below runs/.")
    ] = None,
    as_json: JsonResultOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a recipe in a new run.

    Settings, weakest first: the recipe's defaults, --preset, --config, --set and the other options.
    `aigc config show RECIPE` shows them all, and where each comes from.
    """
    flags = {
        "dataset.name": dataset,
        "dataset.root": data_root,
        "engine.steps": steps,
        "engine.epochs": epochs,
        "engine.device": device,
        "engine.precision": precision,
        "engine.seed": seed,
        **(parse_standard(until) if until is not None else {}),
    }
    host = get_host()
    layers = layers_from(config, set_, flags)
    resolved = resolve_config(host, recipe, preset=preset, layers=layers).config
    from aigc_core.api.prepare import prepare_training
    from aigc_core.observers.console import ConsoleProgress

    console = _console(quiet)
    with contextlib.ExitStack() as stack:
        with console.status(f"Loading {resolved.dataset.name}"):
            context = prepare_training(host, resolved, out, [ConsoleProgress(console)])
            training = stack.enter_context(context)
        _run(training, console, as_json)


def resume(
    run: Annotated[str, typer.Argument(help="The run's folder: see `aigc runs`.")],
    steps: Annotated[int | None, typer.Option(help="Train on until this many steps.")] = None,
    until: UntilOption = None,
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
    as_json: JsonResultOption = False,
    quiet: QuietOption = False,
) -> None:
    """Go on with a run from its newest whole checkpoint, exactly as if it had not stopped."""
    from aigc_core.api.going_on import prepare_resume
    from aigc_core.observers.console import ConsoleProgress

    opened = open_run(run)
    console = _console(quiet)
    with contextlib.ExitStack() as stack:
        with console.status("Opening the run"):
            context = prepare_resume(
                opened,
                steps=steps,
                until=until,
                data_root=data_root,
                device=device,
                allow_changes=allow_changes,
                keep_schedule=keep_schedule,
                observers=[ConsoleProgress(console)],
            )
            training = stack.enter_context(context)
        _run(training, console, as_json)


def _run(training: Training, console: Console, as_json: bool) -> None:
    """Train, and say how it ended and what to do next."""
    from aigc_core.engine import describe_device

    run, engine = training.run, training.engine
    for note in training.notes:
        say(console, f"Note: {note}")
    ema = f", EMA {engine.config.ema}" if engine.ema else ""
    layout = ", channels_last" if engine.channels_last else ""
    standard = engine.config.standard
    until = f", or until {standard}" if standard is not None else ""
    say(
        console,
        f"Training {run.recipe} on {run.config['dataset']['name']} "
        f"({training.sample_count:,} samples) on {describe_device(engine.device)}, "
        f"{engine.precision}{layout}{ema}; {engine.total_steps:,} steps of "
        f"{engine.samples_per_step}{until}.",
    )
    if engine.step:
        say(console, f"Going on from step {engine.step}.")
    say(console, f"Run: {shown(run.path)}")
    go_on = f"aigc resume {typed(run.path)}"
    try:
        result = training.fit()
    except StorageError as error:
        full = isinstance(error.__cause__, OSError) and error.__cause__.errno in _DISK_FULL
        say(console, f"{'Make room' if full else 'Mend that'}, then go on with: {go_on}")
        raise
    except KeyboardInterrupt:
        told = f"Stopped at once; the last checkpoint is of step {run.step}. Go on with: {go_on}"
        raise Interrupted(told, signal.SIGINT) from None
    preview = run.latest_preview
    if as_json:
        print_json(
            {
                "run": str(run.path),
                "status": "complete" if result.signal is None else "unfinished",
                "step": result.step,
                "ended": result.ending.reason if result.ending else None,
                "told": result.ending.told if result.ending else None,
                "best": engine.best.model_dump() if engine.best else None,
                "samples": str(preview) if preview else None,
                "seconds": round(engine.train_seconds, 3),
            }
        )
    if result.signal is not None:
        told = f"Stopped at step {result.step}; a checkpoint was written. Go on with: {go_on}"
        raise Interrupted(told, result.signal)
    assert result.ending is not None, "without a signal there is a reason"
    say(console, f"Done in {engine.train_seconds:,.0f} s: {result.ending.told}.")
    if preview:
        say(console, f"Samples: {shown(preview)}")
    say(console, f"More: aigc generate {typed(run.path)}")
    if engine.best and engine.best.step != result.step:
        best = f"aigc generate {typed(run.path)} --checkpoint best"
        say(console, f"Best: {engine.best}. Its samples: {best}")


def _console(quiet: bool) -> Console:
    if quiet:
        logging.getLogger("aigc").setLevel(logging.WARNING)
    return error_console(quiet)

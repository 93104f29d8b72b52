"""``aigc train`` and ``aigc resume``."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from aigc_core.cli.output import print_json
from aigc_core.cli.settings import ConfigOption, DatasetOption, PresetOption, SetOption, layers_from
from aigc_core.config import resolve_config
from aigc_core.errors import StorageError
from aigc_core.plugins import get_host
from aigc_core.runs import open_run

if TYPE_CHECKING:
    from aigc_core.api.train import Training

QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress.")]
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
    }
    host = get_host()
    layers = layers_from(config, set_, flags)
    resolved = resolve_config(host, recipe, preset=preset, layers=layers).config
    from aigc_core.api.train import prepare_training
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
    data_root: Annotated[str | None, typer.Option(help="Where the data is now.")] = None,
    device: Annotated[str | None, typer.Option(help="Another device than before.")] = None,
    as_json: JsonResultOption = False,
    quiet: QuietOption = False,
) -> None:
    """Go on with a run from its newest whole checkpoint, exactly as if it had not stopped."""
    from aigc_core.api.train import prepare_resume
    from aigc_core.observers.console import ConsoleProgress

    opened = open_run(run)
    console = _console(quiet)
    with contextlib.ExitStack() as stack:
        with console.status(f"Opening {run}"):
            context = prepare_resume(
                opened,
                steps=steps,
                data_root=data_root,
                device=device,
                observers=[ConsoleProgress(console)],
            )
            training = stack.enter_context(context)
        _run(training, console, as_json)


def _run(training: Training, console: Console, as_json: bool) -> None:
    """Train, and say how it ended and what to do next."""
    from aigc_core.engine import describe_device

    run, engine = training.run, training.engine
    for note in training.store.notes:
        console.print(f"[yellow]Note:[/] {escape(note)}", soft_wrap=True)
    ema = f", EMA {engine.config.ema}" if engine.ema else ""
    layout = ", channels_last" if engine.channels_last else ""
    console.print(
        f"Training [bold]{run.recipe}[/] on {run.config['dataset']['name']} "
        f"({len(training.store):,} samples) on {describe_device(engine.device)}, "
        f"{engine.precision}{layout}{ema}; {engine.total_steps:,} steps of "
        f"{engine.samples_per_step}.",
        soft_wrap=True,
    )
    if engine.step:
        console.print(f"Going on from step {engine.step}.")
    console.print(f"Run: {run.path}", soft_wrap=True)
    try:
        result = training.fit()
    except StorageError:
        console.print(f"Make room, then go on with: aigc resume {run.path}", soft_wrap=True)
        raise
    preview = run.latest_preview
    if as_json:
        print_json(
            {
                "run": str(run.path),
                "status": "complete" if result.signal is None else "interrupted",
                "step": result.step,
                "samples": str(preview) if preview else None,
                "seconds": round(engine.train_seconds, 3),
            }
        )
    if result.signal is not None:
        console.print(
            f"Stopped at step {result.step}; a checkpoint was written. "
            f"Go on with: aigc resume {run.path}",
            soft_wrap=True,
        )
        raise typer.Exit(130 if result.signal == signal.SIGINT else 128 + result.signal)
    console.print(
        f"Done: {result.step:,} steps in {engine.train_seconds:,.0f} s.\n"
        f"Samples: {preview}\nMore: aigc generate {run.path}",
        soft_wrap=True,
    )


def _console(quiet: bool) -> Console:
    return Console(stderr=True, highlight=False, quiet=quiet)

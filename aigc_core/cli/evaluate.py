"""``aigc evaluate``."""

from __future__ import annotations

from typing import Annotated

import typer

from aigc_core.cli.output import JsonOption, error_console, print_json, print_listing, say
from aigc_core.cli.settings import CheckpointOption, RunArgument


def add_commands(app: typer.Typer, name: str) -> None:
    """Add this file's command."""
    app.command()(evaluate)


def evaluate(
    run: RunArgument,
    metric: Annotated[
        list[str] | None, typer.Option(help="Repeatable; otherwise all that fit: `aigc metrics`.")
    ] = None,
    count: Annotated[int, typer.Option(help="How many samples to compare.")] = 1000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same samples.")] = 0,
    split: Annotated[
        str | None, typer.Option(help="Which part of the data; test, where there is one.")
    ] = None,
    checkpoint: CheckpointOption = None,
    data_root: Annotated[str | None, typer.Option(help="Where the data is now.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Compare samples of a run with its data, by metrics."""
    from aigc_core.api.evaluation import evaluate as run_evaluation
    from aigc_core.api.evaluation import to_json

    result = run_evaluation(
        run,
        metrics=metric or (),
        count=count,
        seed=seed,
        split=split,
        checkpoint=checkpoint,
        data_root=data_root,
        device=device,
    )
    if as_json:
        print_json(to_json(result))
        return
    say(
        error_console(),
        f"{result.count:,} samples of step {result.step} and as many of the data ({result.split}).",
    )
    rows = [{"metric": name, "value": f"{value:.6g}"} for name, value in result.metrics.items()]
    print_listing(rows, ["metric", "value"], False)

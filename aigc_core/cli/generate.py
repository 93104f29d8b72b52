"""``aigc generate``."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from aigc_core.cli.output import JsonOption, error_console, print_json, printable, say
from aigc_core.cli.settings import CheckpointOption, RunArgument
from aigc_core.config import parse_assignment
from aigc_core.errors import UserError
from aigc_core.files import relative_path


def add_commands(app: typer.Typer, name: str) -> None:
    """Add this file's command."""
    app.command()(generate)


def generate(
    run: RunArgument,
    count: Annotated[
        int | None, typer.Option(help="How many samples, up to 1,000,000; otherwise 16.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same samples.")] = 0,
    label: Annotated[
        str | None, typer.Option(help="Name or number of a class, for a conditional run.")
    ] = None,
    interpolate: Annotated[
        bool, typer.Option("--interpolate", help="Samples on the way from one latent to another.")
    ] = False,
    reconstruct: Annotated[
        bool, typer.Option("--reconstruct", help="Pairs: held-out data, and what is made of it.")
    ] = False,
    prompt: Annotated[
        str | None, typer.Option(help="A text: what to draw, or what to continue.")
    ] = None,
    input_: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="[NAME=]FILE",
            help="A condition that is a file; with its name if there are several. Repeatable.",
        ),
    ] = None,
    want: Annotated[
        str | None,
        typer.Option(metavar="NAME,…", help="Of several outputs, those to write; otherwise all."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="How to draw: see `aigc show RUN`; repeatable."
        ),
    ] = None,
    tokens: Annotated[int | None, typer.Option(help="Short for --set tokens=…")] = None,
    stop: Annotated[str | None, typer.Option(help="With --prompt: end before this text.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="A new folder; otherwise one inside the run.")
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(help="One file a sample, such as png; or npy for one array, samples.npy."),
    ] = None,
    checkpoint: CheckpointOption = None,
    data_root: Annotated[
        str | None, typer.Option(help="With --reconstruct: where the data is now.")
    ] = None,
    metadata: Annotated[
        bool,
        typer.Option(
            "--metadata/--no-metadata",
            help="Whether files say how they were made: see `aigc show FILE`.",
        ),
    ] = True,
    mark: Annotated[
        str | None,
        typer.Option(metavar="cn", help="A label that a law asks for: cn is GB 45438-2025's."),
    ] = None,
    producer: Annotated[
        str | None, typer.Option(help="With --mark cn: name or code of who offers the service.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Draw samples from a trained run."""
    from aigc_core.api import Request, open_sampler
    from aigc_core.api.files import write_samples
    from aigc_core.api.made_by import Marking
    from aigc_core.api.sampler import Kind

    if interpolate and reconstruct:
        raise UserError("Give --interpolate or --reconstruct, not both.")
    if prompt is not None and (interpolate or reconstruct):
        raise UserError("--prompt does not go with --interpolate and --reconstruct.")
    if data_root is not None and not reconstruct:
        raise UserError("--data-root goes with --reconstruct: nothing else reads data.")
    marking = Marking(metadata, mark, producer)
    assigned = dict(parse_assignment(text) for text in set_ or ())
    controls = {key.removeprefix("controls."): value for key, value in assigned.items()}
    if tokens is not None:
        controls["tokens"] = tokens
    sampler = open_sampler(run, checkpoint=checkpoint, data_root=data_root, device=device)
    asked = Request(
        count=16 if count is None else count,
        seed=seed,
        label=label,
        prompt=prompt,
        inputs=sampler.validator.named_files(input_ or ()),
        controls=controls,
        want=[name.strip() for name in want.split(",")] if want is not None else (),
    )
    alone = count is None and out is None and not as_json
    if (
        prompt is not None
        and alone
        and not format
        and want is None
        and sampler.validator.continues_text
    ):
        _write_stream(prompt, sampler.stream_text(asked, stop))
        return
    if stop is not None:
        raise UserError("--stop goes with a prompt to continue, without --out, --count and --json.")
    kind: Kind = "samples"
    if interpolate or reconstruct:
        kind = "interpolation" if interpolate else "reconstructions"
    files = write_samples(sampler, asked, kind=kind, format=format, out=out, marking=marking)
    if as_json:
        print_json(
            {
                "folder": str(files.folder),
                "files": [str(path) for path in files.files],
                "preview": str(files.preview),
                "previews": {name: str(path) for name, path in files.previews.items()},
                "step": files.step,
                "count": asked.count,
                "seed": seed,
            }
        )
        return
    console = error_console()
    say(console, f"{asked.count:,} samples of step {files.step} in {relative_path(files.folder)}")
    for preview in files.previews.values():
        say(console, f"Preview: {relative_path(preview)}")


def _write_stream(prompt: str, pieces: Iterator[str]) -> None:
    first = next(pieces, "")  # an error is reported before anything is written
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal may lack some characters
        sys.stdout.reconfigure(errors="replace")
    # A model may draw control characters: a terminal gets them escaped, a file or pipe as they are.
    written = printable if sys.stdout.isatty() else str
    sys.stdout.write(written(prompt + first))
    sys.stdout.flush()
    for piece in pieces:
        sys.stdout.write(written(piece))
        sys.stdout.flush()
    sys.stdout.write("\n")

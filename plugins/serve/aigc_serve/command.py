"""``aigc serve``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from aigc_core.errors import UserError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def serve(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="[NAME=]RUN…", help="Runs to serve, by their folders' names."),
    ],
    host: Annotated[
        str, typer.Option(help="Address to listen at; any but this machine's own needs a key.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any free one.")] = 8000,
    key: Annotated[
        str | None,
        typer.Option(
            envvar="AIGC_SERVE_KEY",
            show_envvar=True,
            help="What clients have to send as their API key.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A further name the server goes by; repeatable."),
    ] = None,
    max_queue: Annotated[
        int | None, typer.Option(min=0, help="Requests that may wait; otherwise 64.")
    ] = None,
    max_count: Annotated[
        int | None, typer.Option(min=1, help="Samples a request may ask for; otherwise 64.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens a text may have; otherwise 4096.")
    ] = None,
    max_seconds: Annotated[
        float | None, typer.Option(help="How long a request may take; otherwise 300.")
    ] = None,
    max_body: Annotated[int, typer.Option(min=1, help="Bytes of a request.")] = 32 * 2**20,
    checkpoint: Annotated[
        str | None, typer.Option(metavar="best|STEP", help="Of each run; otherwise the newest.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
) -> None:
    """Serve trained runs over HTTP, to OpenAI clients and others."""
    from aigc_core.serving import Limits, ModelPool
    from aigc_serve.running import check_bind, run_server

    is_local = check_bind(host, key)
    named = [named_run(text) for text in runs]
    given: dict[str, Any] = {
        "max_queue": max_queue,
        "max_count": max_count,
        "max_tokens": max_tokens,
        "max_seconds": max_seconds,
    }
    limits = Limits(**{name: value for name, value in given.items() if value is not None})
    pool = ModelPool(limits)
    for name, run in named:
        pool.add(name, run, checkpoint=checkpoint, device=device)
    run_server(
        pool,
        host=host,
        port=port,
        key=key,
        names=allow_host or [],
        is_local=is_local,
        max_body_bytes=max_body,
    )


def named_run(text: str) -> tuple[str, str]:
    """Return the name of a model and the path of its run, from ``[NAME=]RUN``.

    Raises:
        UserError: it could be no part of a path of HTTP.
    """
    name, equals, run = text.partition("=")
    if not equals or Path(text).exists():
        name, run = re.sub(r"[^A-Za-z0-9._-]", "-", Path(text).resolve().name), text
    if not _NAME.fullmatch(name):
        raise UserError(
            f"'{name}' cannot be the name of a model: use letters, digits, '.', '-' and '_', as in "
            "digits=RUN."
        )
    return name, run

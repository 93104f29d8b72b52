"""How commands print: tables or JSON on standard output, everything else on standard error."""

from __future__ import annotations

import json
import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def error_console() -> Console:
    """Return the console for progress, notes and errors."""
    return Console(stderr=True, highlight=False)


class ConsoleHandler(logging.Handler):
    """Prints the core's and the plugins' log messages, above a progress bar where there is one."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        say(self._console, f"{record.levelname.capitalize()}: {record.getMessage()}")


def say(console: Console, text: str) -> None:
    """Print text as it is: brackets in a path are no markup, and lines are not cut."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def shown(path: Path) -> str:
    """Return a path relative to the current folder where it is below it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def typed(path: Path) -> str:
    """Return a path as one would type it in a shell."""
    return shlex.quote(shown(path))


def print_json(data: Any) -> None:
    """Print data as JSON on standard output."""
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def print_listing(rows: Sequence[dict[str, Any]], columns: Sequence[str], as_json: bool) -> None:
    """Print rows as JSON, whole, or as a table of some of their columns."""
    if as_json:
        print_json(list(rows))
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*[Text(_cell(row[column])) for column in columns])
    # In a pipe a line holds a row: 80 columns would break names that another program wants to read.
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=10_000)
        table.expand = False
    console.print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)

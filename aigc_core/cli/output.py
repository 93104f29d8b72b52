"""How commands print: tables or JSON on standard output, everything else on standard error."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Sequence
from typing import Annotated, Any, TextIO, cast

import typer
from rich.console import Console

from aigc_core.cli.streams import Forgiving

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Characters that control a terminal, except tabs and newlines."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def error_console(quiet: bool = False) -> Console:
    """Return the console for progress, notes and errors; see ``Forgiving``."""
    return Console(file=cast(TextIO, Forgiving()), highlight=False, quiet=quiet)


class ConsoleHandler(logging.Handler):
    """Prints the core's and the plugins' log messages, above the progress bar if there is one."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        level = "" if record.levelno == logging.INFO else f"{record.levelname.capitalize()}: "
        say(self._console, f"{level}{record.getMessage()}")


def say(console: Console, text: str) -> None:
    """Print text without markup or wrapping; control characters are escaped."""
    console.print(printable(text), markup=False, highlight=False, soft_wrap=True)


def printable(text: str) -> str:
    """Return text with control characters escaped; newlines and tabs stay."""
    return _CONTROL.sub(lambda match: repr(match[0])[1:-1], text)


def print_json(data: Any) -> None:
    """Print data as JSON on standard output; control characters are escaped."""
    text = json.dumps(data, indent=2, ensure_ascii=False)
    escaped = _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    sys.stdout.write(escaped + "\n")


def print_listing(rows: Sequence[dict[str, Any]], columns: Sequence[str], as_json: bool) -> None:
    """Print rows as JSON with all fields, or as a table of the given columns."""
    if as_json:
        print_json(list(rows))
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        cells = [printable(_cell(row[column])).replace("\n", "\\n") for column in columns]
        table.add_row(*map(Text, cells))
    # In a pipe each row is one line: wrapping at 80 columns would break names that programs read.
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

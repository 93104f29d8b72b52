"""``aigc plugins check``: the contract suite, line by line."""

from __future__ import annotations

import contextlib
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from aigc_core.cli.output import JsonOption, print_json
from aigc_core.errors import PluginError
from aigc_core.plugins import get_host
from aigc_core.plugins.installed import matches_name
from aigc_core.testing import CheckResult

_COLOURS = {"passed": "green", "failed": "bold red", "known failure": "yellow"}


def check(
    name: Annotated[str, typer.Argument(help="A plugin: see aigc plugins list.")],
    as_json: JsonOption = False,
) -> None:
    """Check whether a plugin keeps what it promises.

    Runs in temporary folders, on the CPU.
    """
    from aigc_core.testing import check_plugin  # here, since it imports torch

    console = Console(file=sys.stdout, highlight=False)
    name = _key(name)
    with contextlib.redirect_stdout(sys.stderr):  # what plugins print is not part of the result
        results = check_plugin(name, on_result=None if as_json else lambda r: _show(console, r))
    counts = [
        sum(result.status == status for result in results)
        for status in ("passed", "failed", "known failure")
    ]
    if as_json:
        print_json([result.to_dict() for result in results])
    else:
        passed, failed, known = counts
        total = f"{len(results)} checks: {passed} passed, {failed} failed, {known} known failures"
        console.print(total)
    if counts[1]:
        raise typer.Exit(1)


def _key(name: str) -> str:
    """Return the host's name for the plugin that a user means, or ``name`` if none matches.

    Raises:
        PluginError: a distribution with several plugins.
    """
    host = get_host()
    if host.status(name) is not None:
        return name
    found = [s.name for s in host.statuses if matches_name(s, name)]
    if len(found) > 1:
        raise PluginError(f"'{name}' brings several plugins: {', '.join(found)}. Name one of them.")
    return found[0] if found else name


def _show(console: Console, result: CheckResult) -> None:
    """Print a result on one line, and its message below."""
    line = Text(f"{result.status:13}", style=_COLOURS[result.status])
    line.append(f"  {result.name} ({result.seconds:.1f} s)", style="default")
    console.print(line, soft_wrap=True)
    if result.message:
        console.print(Text(f"    {result.message}"), soft_wrap=True)

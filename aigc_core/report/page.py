"""The page: what was trained and how it went, in one file that opens from a disk."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aigc_core._version import __version__
from aigc_core.errors import ConfigError, StorageError, reason
from aigc_core.files import write_text_atomically
from aigc_core.report.curves import chart, number
from aigc_core.report.facts import SPEED, RunFacts, Series, named
from aigc_core.report.samples import film
from aigc_core.report.style import STYLE
from aigc_core.runs import Run, open_run

MAX_BYTES = 5_000_000
MAX_RUNS = 16
_SAMPLES_BYTES = 4_000_000
_MARK = "<!-- made by aigc report -->"
_POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"


def write_report(runs: Sequence[Run | str | Path], out: str | Path = "report.html") -> Path:
    """Write a report on one run, or one that compares several, as a single HTML file.

    It has at most 5 MB, no script, and asks for nothing from anywhere. The same runs give the same
    bytes. What would undo a private training, its seed, is left out, and so is the user's folder.

    Args:
        runs: 1 to 16 runs, or their paths.
        out: the file; a report that is there is replaced.

    Returns:
        The file's path.

    Raises:
        RunError: one is not a run, or is damaged.
        ConfigError: none, too many or the same twice, or another file is there.
        StorageError: the file could not be written.
    """
    opened = [run if isinstance(run, Run) else open_run(run) for run in runs]
    if not 1 <= len(opened) <= MAX_RUNS:
        raise ConfigError(f"A report is on 1 to {MAX_RUNS} runs, and {len(opened)} were given.")
    paths = [run.path for run in opened]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise ConfigError(f"{twice} is given twice.")
    target = Path(os.path.expanduser(out))
    _check_target(target)
    text = page(named(opened))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"Could not write {target}: {reason(error)}.") from error
    write_text_atomically(target, text)
    return target


def _check_target(target: Path) -> None:
    try:
        if target.is_dir():
            raise ConfigError(f"{target} is a folder. Give the name of a file with --out.")
        if target.exists():
            with target.open("rb") as file:
                if _MARK.encode() not in file.read(200):
                    raise ConfigError(
                        f"{target} is there, and is no report. Choose another file with --out."
                    )
    except OSError as error:
        raise StorageError(f"Cannot read {target}: {reason(error)}.") from error


def page(runs: Sequence[RunFacts]) -> str:
    """Return the page on some runs."""
    recipes = list(dict.fromkeys(run.run.recipe for run in runs))
    title = runs[0].name if len(runs) == 1 else f"{len(runs)} runs"
    heading = f"{', '.join(recipes)}: {title}"
    body = [
        f"<h1>{html.escape(heading)}</h1>",
        _table("Summary", runs, [run.summary for run in runs]),
        _samples(runs),
        _curves("Scores on held-out data", runs, lambda name: name.startswith("validation/")),
        _curves("Training", runs, lambda name: not name.startswith("validation/")),
        _settings(runs),
        _table("Environment", runs, [run.environment for run in runs], mono=True),
        f"<footer>Written by aigc {__version__}. Samples were made by AI.</footer>",
    ]
    head = (
        f'<!doctype html>{_MARK}<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(heading)}</title><style>{STYLE}</style></head><body>"
    )
    return f"{head}{''.join(body)}</body></html>\n"


def _table(
    title: str, runs: Sequence[RunFacts], facts: Sequence[Mapping[str, Any]], *, mono: bool = False
) -> str:
    """Return a table with a row for each name and a column for each run."""
    names = dict.fromkeys(name for found in facts for name in found)
    rows = [(name, [str(found.get(name, "–")) for found in facts], False) for name in names]
    return f"<h2>{title}</h2>{_rows(runs, rows, mono)}" if names else ""


def _rows(
    runs: Sequence[RunFacts], rows: Iterable[tuple[str, Sequence[str], bool]], mono: bool
) -> str:
    head = ""
    if len(runs) > 1:
        head = "".join(f"<th>{html.escape(run.name)}</th>" for run in runs)
        head = f"<thead><tr><th></th>{head}</tr></thead>"
    kind = ' class="mono"' if mono else ""
    body = "".join(
        f"<tr{' class=differs' if differs else ''}><th>{_breakable(name)}</th>"
        + "".join(f"<td{kind}>{html.escape(value)}</td>" for value in values)
        + "</tr>"
        for name, values, differs in rows
    )
    many = "many" if len(runs) > 1 else "one"
    table = f"<table>{head}<tbody>{body}</tbody></table>"
    return f'<div class="card wide {many}" tabindex="0">{table}</div>'


def _samples(runs: Sequence[RunFacts]) -> str:
    parts = []
    for run in runs:
        figures, is_whole = film(run.run, _SAMPLES_BYTES // len(runs))
        if figures:
            heading = f"<h3>{html.escape(run.name)}</h3>" if len(runs) > 1 else ""
            rest = "" if is_whole else '<p class="soft">Some files did not fit into 5 MB.</p>'
            parts.append(f'{heading}<div class="film" tabindex="0">{figures}</div>{rest}')
    return f"<h2>Samples while it was trained</h2>{''.join(parts)}" if parts else ""


def _curves(title: str, runs: Sequence[RunFacts], wanted: Any) -> str:
    """Return charts: of one run, one for each group of metrics; of several, one for each metric."""
    charts = []
    if len(runs) == 1:
        groups: dict[str, dict[str, Series]] = {}
        for name, series in runs[0].metrics.items():
            if wanted(name) and not _is_constant([series]):
                group, _, member = name.partition("/")
                key = name if group == "validation" else group
                groups.setdefault(key, {})[member or name] = series
        for group, lines in groups.items():
            charts.append(chart(_in_words(group), lines, {n: i for i, n in enumerate(lines)}))
    else:
        names = dict.fromkeys(name for run in runs for name in run.metrics if wanted(name))
        colours = {run.name: number for number, run in enumerate(runs)}
        for name in names:
            lines = {run.name: run.metrics[name] for run in runs if name in run.metrics}
            if _is_constant(lines.values()):
                continue
            charts.append(chart(_in_words(name), lines, colours))
    return f'<h2>{title}</h2><div class="charts">{"".join(charts)}</div>' if charts else ""


def _is_constant(lines: Iterable[Series]) -> bool:
    """Whether there is nothing to see: several values, and all the same."""
    values = [value for line in lines for value in line.values]
    return len(values) > 1 and len(set(values)) == 1


def _in_words(name: str) -> str:
    known = {SPEED: "samples a second", "skipped_updates": "skipped updates"}
    return known.get(name, name.removeprefix("validation/").replace("_", " "))


def _settings(runs: Sequence[RunFacts]) -> str:
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    if len(runs) == 1:
        settings = runs[0].settings
        given = [key for key in keys if settings[key].origin not in ("default", "")]
        rest = [key for key in keys if key not in given]
        parts = ["<h2>Settings</h2>", _one_run(runs[0], given) if given else ""]
        what = f"{len(rest)} that are as by default" if given else f"{len(rest)} settings"
        return "".join([*parts, _folded(what, _one_run(runs[0], rest))])
    rows = []
    for key in keys:
        values = [_value(run.settings[key].value) if key in run.settings else "–" for run in runs]
        rows.append((key, values, len(set(values)) > 1))
    other = [row for row in rows if row[2]]
    same = [row for row in rows if not row[2]]
    differing = _rows(runs, other, True) if other else "<p>They have the same settings.</p>"
    equal = _folded(f"{len(same)} that are the same", _rows(runs, same, True))
    return f"<h2>Settings that differ</h2>{differing}{equal}"


def _one_run(run: RunFacts, keys: Sequence[str]) -> str:
    rows = "".join(
        f'<tr><th>{_breakable(key)}</th><td class="mono">{html.escape(_value(setting.value))}</td>'
        f'<td class="soft">{html.escape(setting.origin)}</td></tr>'
        for key in keys
        for setting in [run.settings[key]]
    )
    return f'<div class="card wide one" tabindex="0"><table><tbody>{rows}</tbody></table></div>'


def _folded(summary: str, content: str) -> str:
    return f"<details><summary>{html.escape(summary)}</summary>{content}</details>"


def _breakable(key: str) -> str:
    """Return a dotted key that may be broken after its dots."""
    return html.escape(key).replace(".", ".<wbr>").replace("_", "_<wbr>")


def _value(value: Any) -> str:
    if isinstance(value, float):
        return number(value)
    return value if isinstance(value, str) else json.dumps(value)

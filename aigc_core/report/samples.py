"""Previews of a run, from the beginning to the end, inside the page."""

from __future__ import annotations

import base64
import contextlib
import html
import mimetypes
import re
from collections.abc import Iterator
from pathlib import Path

from aigc_core.errors import RunError
from aigc_core.runs import Run
from aigc_core.runs.inside import names_in, read_file

_NAME = re.compile(r"step-([0-9]{6,10})(?![0-9])")
_STILL = mimetypes.types_map[".png"].partition("/")[0]
_RULE = re.compile("─{8,}")
_TEXT_BYTES = 4000
MOST_STEPS = 8


def film(run: Run, budget: int) -> tuple[str, bool]:
    """Return previews as HTML, oldest first, and whether some did not fit.

    Args:
        run: whose previews.
        budget: how many bytes the result may have, about.
    """
    by_step: dict[int, list[Path]] = {}
    for name in sorted(names_in(run.samples), key=lambda name: (_is_column(name), name)):
        match = _NAME.match(name)
        if match is not None:
            by_step.setdefault(int(match[1]), []).append(run.samples / name)
    shown: dict[Path, str] = {}
    is_whole, left = True, budget
    for path in _by_importance(by_step):
        made = _element(path, left)
        if made is None:
            is_whole = False
        else:
            shown[path], left = made, left - len(made)
    figures = []
    for step, paths in sorted(by_step.items()):
        inside = "".join(shown[path] for path in paths if path in shown)
        if inside:
            figures.append(f"<figure>{inside}<figcaption>step {step:,}</figcaption></figure>")
    return "".join(figures), is_whole


def _by_importance(by_step: dict[int, list[Path]]) -> Iterator[Path]:
    """Yield what is looked at first: stills and texts, then the last and the first step."""
    steps = sorted(by_step)
    if len(steps) > MOST_STEPS:
        places = [round(n * (len(steps) - 1) / (MOST_STEPS - 1)) for n in range(MOST_STEPS)]
        steps = [steps[place] for place in places]
    order = sorted(steps, key=lambda step: (step != steps[-1], step != steps[0], step))
    for wanted in (True, False):
        for step in order:
            for path in by_step[step]:
                if (_kind(path) in (_STILL, "text") and path.suffix != ".gif") == wanted:
                    yield path


def _is_column(name: str) -> bool:
    """Whether a preview is of another output than the first."""
    return re.match(r"step-[0-9]+-", name) is not None


def _kind(path: Path) -> str:
    return (mimetypes.guess_type(path.name)[0] or "").partition("/")[0]


def _element(path: Path, most: int) -> str | None:
    """Return an element that shows a file, or None if it has more bytes than ``most``."""
    kind, media_type = _kind(path), mimetypes.guess_type(path.name)[0]
    if not kind:
        return None
    try:
        if path.stat(follow_symlinks=False).st_size > most * 3 // 4:
            return None
        data = read_file(path, max(0, most))
    except (OSError, RunError):
        return None
    if kind == "text":
        text = _RULE.sub("────", data[:_TEXT_BYTES].decode("utf-8", "replace"))
        return f"<pre>{html.escape(text)}</pre>"
    source = f'src="data:{media_type};base64,{base64.b64encode(data).decode()}"'
    if kind == _STILL:
        return f'<img alt="{html.escape(path.name)}" {source}>'
    with contextlib.suppress(ValueError):
        return f"<{_player(kind)} controls {source}></{_player(kind)}>"
    return None


def _player(kind: str) -> str:
    """Return the element of HTML that plays media, which is called as their kind is."""
    if kind not in {mimetypes.types_map[suffix].partition("/")[0] for suffix in (".wav", ".mp4")}:
        raise ValueError(kind)
    return kind

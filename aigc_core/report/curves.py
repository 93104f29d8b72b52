"""Curves as inline SVG, which needs no script."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

from aigc_core.report.facts import Series

WIDTH, HEIGHT = 400, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 382, 10, 182
_POINTS = 240
"""How many places a curve has at most: of more values, the mean is drawn, and their range."""
_LOG_RATIO = 300
"""Positive values that differ by more than this are drawn on a logarithmic axis."""


def chart(title: str, lines: Mapping[str, Series], colours: Mapping[str, int]) -> str:
    """Return a figure with one curve per name, and a legend with their last values.

    Args:
        title: what is shown.
        lines: the curves; steps ascend.
        colours: the number of each name's colour, ``--c0`` and so on.
    """
    values = [v for line in lines.values() for v in line.values]
    last_step = max(max(line.steps) for line in lines.values())
    first_step = min(min(line.steps) for line in lines.values())
    low, high = min(values), max(values)
    is_log = low > 0 and high / low > _LOG_RATIO
    scale = math.log10 if is_log else float
    bottom, top = scale(low), scale(high)
    if bottom == top:
        margin = abs(bottom) * 0.1 or 1.0
        bottom, top = bottom - margin, top + margin

    def x(step: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (step - first_step) / max(1, last_step - first_step)

    def y(value: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * (scale(value) - bottom) / (top - bottom)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(title)}">']
    for tick in _log_ticks(low, high) if is_log else _ticks(bottom, top):
        at = f"{y(tick):.1f}"
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text class="y" x="{_LEFT - 6}" y="{at}" dy="4">{number(tick)}</text>')
    for step in _ticks(first_step, last_step, 4):
        if step == int(step):
            parts.append(
                f'<text class="x" x="{x(step):.1f}" y="{HEIGHT - 10}">{number(step)}</text>'
            )
    for name, line in lines.items():
        style = f"--c:var(--c{colours[name] % 8})"
        dash = ' stroke-dasharray="5 3"' if colours[name] >= 8 else ""
        means, ranges = _thinned(line)
        if ranges:
            upper = [f"{x(s):.1f},{y(v):.1f}" for s, _, v in ranges]
            lower = [f"{x(s):.1f},{y(v):.1f}" for s, v, _ in reversed(ranges)]
            area = " ".join(upper + lower)
            parts.append(f'<polygon style="{style}" points="{area}"/>')
        points = " ".join(f"{x(s):.1f},{y(v):.1f}" for s, v in means)
        if len(means) == 1:
            at_x, _, at_y = points.partition(",")
            parts.append(f'<circle style="{style}" r="3" cx="{at_x}" cy="{at_y}"/>')
        else:
            parts.append(f'<polyline style="{style}"{dash} points="{points}"/>')
    parts.append("</svg>")
    legend = "".join(
        f'<li style="--c:var(--c{colours[name] % 8})"><span>{html.escape(name)}</span> '
        f"<b>{number(line.values[-1])}</b></li>"
        for name, line in lines.items()
    )
    note = " <small>logarithmic</small>" if is_log else ""
    return (
        f"<figure><figcaption>{html.escape(title)}{note}</figcaption>{''.join(parts)}"
        f"<ul>{legend}</ul></figure>"
    )


def number(value: float) -> str:
    """Return a number in few characters."""
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}"
    if abs(value) >= 1e4 or 0 < abs(value) < 1e-3:
        return f"{value:.3g}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")
    return f"{value:.4g}"


Thinned = tuple[list[tuple[float, float]], list[tuple[float, float, float]]]


def _thinned(line: Series) -> Thinned:
    """Return points of means, and the range of what each stands for, if there are too many."""
    count = len(line.steps)
    if count <= _POINTS:
        return list(zip(line.steps, line.values, strict=True)), []
    means, ranges = [], []
    for place in range(_POINTS):
        part = slice(place * count // _POINTS, (place + 1) * count // _POINTS)
        steps, values = line.steps[part], line.values[part]
        step = sum(steps) / len(steps)
        means.append((step, sum(values) / len(values)))
        ranges.append((step, min(values), max(values)))
    return means, ranges


def _ticks(low: float, high: float, most: int = 5) -> Sequence[float]:
    """Return round numbers from ``low`` to ``high``, at most ``most`` + 1."""
    if high <= low:
        return [low]
    raw = (high - low) / most
    power = 10 ** math.floor(math.log10(raw))
    size = next(size * power for size in (1, 2, 5, 10) if size * power >= raw * 0.999)
    first = math.ceil(low / size - 1e-9)
    last = math.floor(high / size + 1e-9)
    return [round(place * size, 12) for place in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> Sequence[float]:
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    every = max(1, (last - first) // 5 + 1)
    return [10.0**power for power in range(first, last + 1, every)]

"""Solvers of dx/dt = v(x, t), a flow from noise at t = 0 to data at t = 1.

A step costs one evaluation of v with Euler's and Adams' method, and two with Heun's.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

from torch import Tensor

Velocity = Callable[[Tensor, float], Tensor]
"""``(x, t) -> v``: x and v ``(B, ...)``, t in [0, 1]."""


def solve(velocity: Velocity, start: Tensor, times: Sequence[float], solver: str) -> Tensor:
    """Return x at the last of ``times``.

    Args:
        velocity: v. It is never asked at the last time, where it may have no value.
        start: x at the first of ``times``, ``(B, ...)``.
        times: at least two, ascending.
        solver: one of ``SOLVERS``.
    """
    x = start
    for x in SOLVERS[solver](velocity, start, times):  # noqa: B007 - the last one counts
        pass
    return x


def euler(velocity: Velocity, x: Tensor, times: Sequence[float]) -> Iterator[Tensor]:
    """Yield x after each step: x + h v(x, t). First order."""
    for t, after in itertools.pairwise(times):
        x = x + (after - t) * velocity(x, t)
        yield x


def heun(velocity: Velocity, x: Tensor, times: Sequence[float]) -> Iterator[Tensor]:
    """Yield x after each step, along the mean of v at both of its ends. Second order.

    The last step is Euler's, as in Karras et al. 2022, "Elucidating the Design Space of
    Diffusion-Based Generative Models", algorithm 1.
    """
    for t, after in itertools.pairwise(times):
        slope = velocity(x, t)
        predicted = x + (after - t) * slope
        if after != times[-1]:
            slope = (slope + velocity(predicted, after)) / 2
        x = x + (after - t) * slope
        yield x


def adams(velocity: Velocity, x: Tensor, times: Sequence[float]) -> Iterator[Tensor]:
    """Yield x after each step, along v here and at the step before (Adams & Bashforth 1883).

    Second order, for steps of any lengths: x + h ((1 + r/2) v - (r/2) v_before), r = h / h_before.
    """
    before: Tensor | None = None
    length_before = 0.0
    for t, after in itertools.pairwise(times):
        length = after - t
        slope = velocity(x, t)
        if before is None:
            x = x + length * slope
        else:
            ratio = length / length_before
            x = x + length * ((1 + ratio / 2) * slope - (ratio / 2) * before)
        before, length_before = slope, length
        yield x


SOLVERS: Mapping[str, Callable[[Velocity, Tensor, Sequence[float]], Iterator[Tensor]]] = {
    "euler": euler,
    "heun": heun,
    "adams": adams,
}

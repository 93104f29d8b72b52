"""Solvers against flows whose end is known in closed form."""

import math

import pytest
import torch
from torch import Tensor

from aigc_core.solvers import SOLVERS, solve
from aigc_core.trainers.flow import mixture

MEAN, SPREAD = 1.5, 0.3
"""The data: a normal distribution, of which the flow from standard noise is linear."""


def times(steps: int) -> list[float]:
    return torch.linspace(0, 1, steps + 1, dtype=torch.float64).tolist()


def gaussian_velocity(path: str):
    """The mean velocity E[α' x + σ' ε | x_t] of normal data and standard noise.

    x and ε are given x_t normal, with means m + α s² (x_t - α m) / v and σ (x_t - α m) / v, where
    v = α² s² + σ².
    """

    def velocity(x: Tensor, time: float) -> Tensor:
        parts = mixture(path, torch.tensor(time, dtype=torch.float64))
        variance = parts.data**2 * SPREAD**2 + parts.noise**2
        away = (x - parts.data * MEAN) / variance
        data = MEAN + parts.data * SPREAD**2 * away
        return parts.data_change * data + parts.noise_change * parts.noise * away

    return velocity


def end(path: str, solver: str, steps: int) -> float:
    """Greatest error at t = 1, where noise z has become m + s z."""
    noise = torch.linspace(-3, 3, 7, dtype=torch.float64)
    found = solve(gaussian_velocity(path), noise, times(steps), solver)
    return float((found - (MEAN + SPREAD * noise)).abs().max())


@pytest.mark.parametrize("path", ["linear", "cosine"])
@pytest.mark.parametrize("solver", list(SOLVERS))
def test_a_gaussian_s_flow_ends_at_the_data(path: str, solver: str) -> None:
    assert end(path, solver, 1000) < 5e-3
    assert end(path, solver, 100) < 5e-2


@pytest.mark.parametrize("path", ["linear", "cosine"])
def test_second_order_methods_gain_four_times_where_euler_gains_two(path: str) -> None:
    for solver, gain in (("euler", 2), ("adams", 4)):
        ratio = end(path, solver, 200) / end(path, solver, 400)
        assert ratio == pytest.approx(gain, rel=0.15), solver


def test_of_as_many_evaluations_the_two_step_method_is_nearer_than_euler_s() -> None:
    assert end("linear", "adams", 25) < end("linear", "euler", 25) / 4


@pytest.mark.parametrize(("solver", "evaluations"), [("euler", 10), ("adams", 10), ("heun", 19)])
def test_a_step_costs_as_many_evaluations_as_is_said_and_none_at_the_end(
    solver: str, evaluations: int
) -> None:
    asked: list[float] = []

    def velocity(x: Tensor, time: float) -> Tensor:
        asked.append(time)
        return torch.zeros_like(x)

    solve(velocity, torch.zeros(1), times(10), solver)
    assert len(asked) == evaluations
    assert max(asked) < 1


def test_a_constant_velocity_is_exact_in_one_step() -> None:
    for solver in SOLVERS:
        moved = solve(lambda x, time: torch.full_like(x, 2.0), torch.ones(2), [0.0, 1.0], solver)
        assert moved.tolist() == [3.0, 3.0]


def test_adams_method_is_exact_for_velocities_linear_in_time_whatever_the_steps() -> None:
    """After its first step, which is Euler's: the integral of t from a to b is (b² - a²) / 2."""
    grid = [0.0, 0.1, 0.4, 0.45, 1.0]
    found = solve(lambda x, time: torch.full_like(x, time), torch.zeros(1).double(), grid, "adams")
    assert float(found) == pytest.approx(0.5 - 0.1**2 / 2)


@pytest.mark.parametrize("path", ["linear", "cosine"])
def test_a_path_begins_with_noise_ends_with_data_and_its_changes_are_derivatives(path) -> None:
    grid = torch.linspace(0, 1, 101, dtype=torch.float64)
    parts = mixture(path, grid)
    ends = [(float(parts.data[i]), float(parts.noise[i])) for i in (0, -1)]
    assert ends == [pytest.approx((0, 1)), pytest.approx((1, 0))]
    for value, change in ((parts.data, parts.data_change), (parts.noise, parts.noise_change)):
        differences = (value[2:] - value[:-2]) / 0.02
        torch.testing.assert_close(differences, change[1:-1], rtol=0, atol=5e-4)
    if path == "cosine":
        squares = parts.data**2 + parts.noise**2
        torch.testing.assert_close(squares, torch.ones_like(squares))
        assert float(parts.data[50]) == pytest.approx(math.sqrt(0.5))

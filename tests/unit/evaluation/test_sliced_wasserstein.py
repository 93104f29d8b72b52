"""The sliced Wasserstein distance, against cases whose answer is known."""

import math

import pytest
import torch

from aigc_core import ConfigError
from aigc_core.evaluation import SlicedWasserstein, sliced_wasserstein


def normal(count: int, size: int, seed: int) -> torch.Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed))


def test_a_set_is_at_no_distance_from_itself_in_any_order() -> None:
    points = normal(100, 3, seed=0)
    assert sliced_wasserstein(points, points.flip(0)) == 0


def test_a_shift_is_seen_as_its_length_over_the_root_of_the_dimension() -> None:
    """The mean of cos² between a fixed and a random direction in D dimensions is 1/D."""
    points = normal(50, 4, seed=0)
    shift = torch.tensor([3.0, 0, 0, 0])
    found = sliced_wasserstein(points, points + shift, directions=4096)
    assert found == pytest.approx(3 / math.sqrt(4), rel=0.03)


def test_in_one_dimension_it_is_the_distance_of_the_sorted_values() -> None:
    first, second = torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0], [2.0]])
    assert sliced_wasserstein(first, second) == pytest.approx(2.0)


def test_the_seed_decides_the_directions_and_chunks_do_not_show() -> None:
    first, second = normal(20, 8, seed=0), normal(20, 8, seed=1)
    once = sliced_wasserstein(first, second, directions=100, seed=7)
    assert once == sliced_wasserstein(first, second, directions=100, seed=7)
    assert once != sliced_wasserstein(first, second, directions=100, seed=8)


class Plain:
    """Stands for a modality whose stored form is the model's."""

    def to_model(self, stored: torch.Tensor) -> torch.Tensor:
        return stored


def test_another_distribution_is_farther_than_the_halves_of_one() -> None:
    real = normal(1000, 5, seed=0)
    near = SlicedWasserstein().compare(real, normal(1000, 5, seed=1), Plain())
    far = SlicedWasserstein().compare(real, 2 * normal(1000, 5, seed=1), Plain())
    assert near["distance"] < 2 * near["between_real_halves"]
    assert far["distance"] > 5 * far["between_real_halves"]


def test_too_few_samples_are_an_error() -> None:
    with pytest.raises(ConfigError, match="at least 4 samples, not 3"):
        SlicedWasserstein().compare(normal(3, 2, 0), normal(3, 2, 1), Plain())

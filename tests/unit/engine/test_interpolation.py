"""The way between two latents, and labels that are asked for."""

import math

import pytest
import torch
from torch import Tensor

from aigc_core import Generator
from aigc_core.engine import draw_samples, interpolate_latents, joined

CPU = torch.device("cpu")


def test_the_way_has_both_ends_and_equal_angles() -> None:
    first, last = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    found = interpolate_latents(first, last, 4)
    angles = [math.atan2(y, x) for x, y in found.tolist()]
    assert angles == pytest.approx([0, math.pi / 6, math.pi / 3, math.pi / 2], abs=1e-6)
    assert torch.allclose(found.norm(dim=1), torch.ones(4))


def test_lengths_of_normal_latents_stay_what_a_generator_has_seen() -> None:
    first, last = torch.randn(2, 8, 8, generator=torch.Generator().manual_seed(0))
    found = interpolate_latents(first, last, 9)
    assert found.shape == (9, 8, 8)
    assert torch.allclose(found[0], first)
    assert torch.allclose(found[-1], last, atol=1e-6)
    assert (found.flatten(1).norm(dim=1) > 0.9 * min(first.norm(), last.norm())).all()


@pytest.mark.parametrize("factor", [1.0, -1.0, 2.0])
def test_ends_in_one_line_are_mixed_straight(factor: float) -> None:
    end = torch.tensor([1.0, 2.0])
    found = interpolate_latents(end, factor * end, 3)
    assert torch.allclose(found[1], (1 + factor) / 2 * end)


class Labels(Generator):
    """Gives back what it is asked for."""

    label_count = 3
    sample_chunk = 4

    def sample(self, count, *, rng, conditions, controls) -> Tensor:
        assert conditions["label"].shape == (count,)
        return conditions["label"].float()[:, None]


def drawn(count: int, labels: Tensor | None = None) -> list[int]:
    given = {} if labels is None else {"label": labels}
    chunks = draw_samples(Labels(), count, seed=0, device=CPU, conditions=given)
    return joined(chunks)["samples"].flatten().int().tolist()


def test_without_a_wish_each_class_comes_in_turn_whatever_the_count() -> None:
    assert drawn(7) == [0, 1, 2, 0, 1, 2, 0]
    assert drawn(2) == [0, 1]


def test_labels_are_given_to_the_samples_they_were_asked_for() -> None:
    labels = torch.tensor([2, 2, 0, 1, 1, 2])
    assert drawn(6, labels) == labels.tolist()


class Unconditional(Labels):
    label_count = 0

    def sample(self, count, *, rng, conditions, controls) -> Tensor:
        assert not conditions
        return torch.zeros(count, 1)


def test_an_unconditional_generator_is_asked_for_nothing() -> None:
    chunks = draw_samples(Unconditional(), 5, seed=0, device=CPU)
    assert joined(chunks)["samples"].shape == (5, 1)

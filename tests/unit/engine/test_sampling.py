"""The same seed gives the same samples, and drawing disturbs nothing."""

import pytest
import torch
from toys import ToyGenerator

from aigc_core.engine import draw_samples, joined

CPU = torch.device("cpu")


@pytest.fixture
def generator() -> ToyGenerator:
    torch.manual_seed(0)
    return ToyGenerator()


def draw(generator: ToyGenerator, count: int, seed: int = 0) -> torch.Tensor:
    return joined(draw_samples(generator, count, seed=seed, device=CPU))["samples"]


@pytest.mark.parametrize("count", [1, 63, 64, 65, 130])
def test_a_sample_does_not_depend_on_how_many_are_drawn(generator, count: int) -> None:
    assert torch.equal(draw(generator, count), draw(generator, 200)[:count])


def test_chunks_and_seeds_differ(generator) -> None:
    samples = draw(generator, 128)
    assert not torch.equal(samples[:64], samples[64:])
    assert not torch.equal(samples, draw(generator, 128, seed=1))


def test_drawing_restores_the_mode_and_the_global_random_state(generator) -> None:
    generator.train()
    generator.layers[1].eval()  # a part that its owner froze
    mean = generator.layers[1].running_mean.clone()
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    draw(generator, 5)
    assert torch.equal(torch.rand(4), expected)
    assert generator.training
    assert not generator.layers[1].training
    assert torch.equal(generator.layers[1].running_mean, mean)


def test_drawing_uses_running_statistics_and_does_not_move_them(generator) -> None:
    generator.train()
    mean = generator.layers[1].running_mean.clone()
    samples = draw(generator, 5)
    assert torch.equal(generator.layers[1].running_mean, mean)
    assert torch.equal(samples, draw(generator.eval(), 5))


def test_samples_carry_no_graph(generator) -> None:
    assert not draw(generator, 2).requires_grad

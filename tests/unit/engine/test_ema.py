"""The moving average against its definition."""

import pytest
import torch
from torch import nn

from aigc_core.engine.ema import ExponentialMovingAverage


def net(value: float) -> nn.Module:
    module = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    nn.init.constant_(module[0].weight, value)
    return module


def test_it_follows_the_definition_with_its_warm_up() -> None:
    source = net(1.0)
    ema = ExponentialMovingAverage(source, 0.5)
    expected = 1.0
    for step, value in enumerate([2.0, 4.0, 8.0]):
        nn.init.constant_(source[0].weight, value)
        source[1].running_mean.fill_(value)
        ema.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    assert ema.generator[0].weight.item() == pytest.approx(expected, rel=1e-6)


def test_what_is_no_parameter_is_copied() -> None:
    source = net(1.0)
    ema = ExponentialMovingAverage(source, 0.9)
    source[1].num_batches_tracked.fill_(7)
    source[1].running_var.fill_(3.0)
    ema.update(10**6)
    assert ema.generator[1].num_batches_tracked.item() == 7
    assert ema.generator[1].running_var.item() == 3


def test_the_copy_needs_no_gradients_and_the_original_keeps_its_own() -> None:
    source = net(1.0)
    ema = ExponentialMovingAverage(source, 0.9)
    assert not any(p.requires_grad for p in ema.generator.parameters())
    assert all(p.requires_grad for p in source.parameters())
    assert not torch.equal(
        torch.tensor(source[0].weight.data_ptr()), torch.tensor(ema.generator[0].weight.data_ptr())
    )

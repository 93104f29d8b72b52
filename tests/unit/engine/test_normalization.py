"""Batch normalisation of all processes is that of one: outputs, gradients, running statistics."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from aigc_core.engine.distributed import Processes
from aigc_core.engine.normalization import SharedBatchNorm, share_batch_norm


class Alone(Processes):
    """One process: sums are what it has."""


def shared(layer: nn.Module) -> SharedBatchNorm:
    copied = copy.deepcopy(layer)
    share_batch_norm([copied])
    assert isinstance(copied, SharedBatchNorm)
    copied.processes = Alone()
    return copied


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (nn.BatchNorm1d, (6, 3)),
        (nn.BatchNorm1d, (6, 3, 5)),
        (nn.BatchNorm2d, (6, 3, 4, 5)),
        (nn.BatchNorm3d, (6, 3, 2, 4, 5)),
    ],
)
def test_in_one_process_it_is_pytorchs(make: Callable[..., nn.Module], shape, momentum) -> None:
    torch.manual_seed(0)
    theirs = make(3, momentum=momentum)
    nn.init.normal_(theirs.weight)
    ours = shared(theirs)
    for _ in range(2):
        x = 2 + 3 * torch.randn(shape)
        first, second = x.clone().requires_grad_(), x.clone().requires_grad_()
        wanted, found = theirs(first), ours(second)
        weights = torch.randn(shape)
        (wanted * weights).sum().backward()
        (found * weights).sum().backward()
        assert torch.allclose(wanted, found, atol=1e-6)
        assert torch.allclose(first.grad, second.grad, atol=1e-6)
    for name, value in theirs.state_dict().items():
        assert torch.allclose(value, ours.state_dict()[name], atol=1e-6), name
    assert torch.allclose(theirs.eval()(x), ours.eval()(x), atol=1e-6)


def test_it_has_a_second_derivative() -> None:
    layer = shared(nn.BatchNorm1d(2)).double()
    x = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)

    def value(x: Tensor) -> Tensor:
        return layer(x).pow(3)

    assert torch.autograd.gradgradcheck(value, (x,))

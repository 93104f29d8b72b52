"""Low-rank adapters: a few parameters that change a network which itself stays as it is.

Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models": a weight W becomes
W + (alpha / rank) B A, of which only A and B learn. B starts from zero, so that nothing changes at
first. A convolution's weight is taken as a matrix, its first dimension by all others.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize

ADAPTABLE = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)


class LowRank(nn.Module):
    """Adds a matrix of low rank to a weight of any shape."""

    def __init__(self, weight: Tensor, rank: int, alpha: float) -> None:
        """Make the adapter of a weight ``(out, …)``; its rank is at most the weight's own."""
        super().__init__()
        rows, columns = weight.shape[0], weight[0].numel()
        self.scale = alpha / rank  # of the rank asked for, as everywhere else
        rank = min(rank, rows, columns)
        self.down = nn.Parameter(weight.new_empty(rank, columns))
        self.up = nn.Parameter(weight.new_zeros(rows, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with what was learned, of the same shape."""
        return weight + self.scale * (self.up @ self.down).view_as(weight)


def add_adapters(
    networks: Mapping[str, nn.Module],
    rank: int,
    alpha: float,
    targets: Collection[str] = (),
) -> list[str]:
    """Freeze networks, and give layers low-rank adapters, which alone learn.

    What is frozen is listed in ``unsaved`` of each network: checkpoints leave it out.

    Args:
        networks: by name.
        rank: of the adapters.
        alpha: their strength is alpha / rank.
        targets: patterns such as ``generator.blocks.*`` of layers; none for all linear layers and
            convolutions.

    Returns:
        The names of the layers that got one.
    """
    adapted = []
    for network, module in networks.items():
        module.requires_grad_(False)
        for name, layer in list(module.named_modules()):
            path = f"{network}.{name}" if name else network
            wanted = not targets or any(fnmatchcase(path, pattern) for pattern in targets)
            if wanted and isinstance(layer, ADAPTABLE):
                adapter = LowRank(layer.weight, rank, alpha)
                parametrize.register_parametrization(layer, "weight", adapter)
                layer.parametrizations.weight.original.requires_grad_(False)  # type: ignore
                adapted.append(path)
    for found in networks.values():
        for module in found.modules():  # any of them may be the generator, which is saved itself
            named = module.named_parameters(remove_duplicate=False)  # two layers may share one
            unsaved: Any = frozenset(name for name, p in named if not p.requires_grad)
            module.unsaved = unsaved
    return adapted


def merge_adapters(module: nn.Module) -> None:
    """Replace each adapted weight by its sum with the adapter, under the weight's old name."""
    for layer in _adapted(module):
        merged = layer.weight.detach().clone()  # type: ignore[operator]
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
        # A new parameter: the old one may be shared with a layer that has no adapter.
        layer.weight = nn.Parameter(merged, requires_grad=False)
    for part in module.modules():
        nothing: Any = frozenset()
        part.unsaved = nothing


def _adapted(module: nn.Module) -> Iterator[nn.Module]:
    for layer in list(module.modules()):
        if parametrize.is_parametrized(layer, "weight"):
            found: Any = layer.parametrizations
            if any(isinstance(part, LowRank) for part in found.weight):
                yield layer

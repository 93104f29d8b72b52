"""A network inside another that never learns, such as an autoencoder that was trained before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn


class Frozen(nn.Module):
    """Holds a module that moves with its owner, and is neither trained, averaged nor saved.

    A run's own checkpoints do not contain it: it comes from where it was loaded, such as a run's
    parent. It stays in evaluation mode, without gradients, and copies of the owner share it.
    """

    def __init__(self, module: nn.Module) -> None:
        """Freeze a module, for good."""
        super().__init__()
        self._held = [module.eval().requires_grad_(False)]  # in a list, so that it is no submodule

    @property
    def module(self) -> Any:
        """The module itself, for its methods."""
        return self._held[0]

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Call the module."""
        return self._held[0](*inputs, **named)

    def train(self, mode: bool = True) -> Frozen:
        """Do nothing: it stays in evaluation mode."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Frozen:
        return Frozen(self._held[0])

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Frozen:
        held: Any = self._held[0]
        held._apply(fn, recurse)
        return self

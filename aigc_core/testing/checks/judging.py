"""A recipe's discriminators, with the inputs that they get in a training step."""

from __future__ import annotations

import contextlib
import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from aigc_core.engine.sampling import evaluation_mode
from aigc_core.interfaces import Discriminator
from aigc_core.testing.checks.stepping import Stepper
from aigc_core.testing.recipe_subject import RecipeSubject

FEW = 8
"""How many samples of the data stand in for unknown inputs."""


@dataclass
class Judge:
    """A discriminator and its inputs."""

    name: str
    """Its name in messages."""
    network: Discriminator
    given: tuple[tuple[Any, ...], dict[str, Any]]
    """Positional and keyword arguments of a call, the tensors with the batch dimension first."""
    noted: bool
    """Whether that call was seen in a step; else the arguments are a guess."""

    def logits(self, count: int) -> Any:
        """Return its output for the first ``count`` of its inputs, repeated if there are fewer.

        None if the inputs were a guess and it does not accept them.
        """
        arguments, named = _first(self.given, count)
        try:
            with torch.no_grad(), evaluation_mode(self.network):
                return self.network(*arguments, **named)
        except Exception:
            if self.noted:
                raise
            return None


def find_judges(recipe: RecipeSubject) -> list[Judge]:
    """Return the discriminators in a recipe's networks, except those inside another one.

    Their inputs are recorded in a step of a new build. One that is not called in it, or only
    through another method, gets samples of the data.
    """
    networks = recipe.parts.trainer.networks()
    if not any(isinstance(m, Discriminator) for n in networks.values() for m in n.modules()):
        return []
    stepper = Stepper(recipe)
    found: dict[str, Discriminator] = {}
    for name, network in stepper.networks.items():
        _collect(f"The discriminator '{name}'", network, found)
    given: dict[nn.Module, tuple[tuple[Any, ...], dict[str, Any]]] = {}

    def note(module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        given.setdefault(module, _copied((arguments, named)))

    with contextlib.ExitStack() as stack:
        for network in found.values():
            hook = network.register_forward_pre_hook(note, with_kwargs=True)
            stack.callback(hook.remove)
        stepper.step()
    return [
        Judge(name, network, given[network], noted=True)
        if network in given
        else Judge(name, network, _of_the_data(recipe, network), noted=False)
        for name, network in found.items()
    ]


def _collect(name: str, module: nn.Module, found: dict[str, Discriminator]) -> None:
    if isinstance(module, Discriminator):
        if module not in found.values():
            found[name] = module
        return
    for key, child in module.named_children():
        _collect(f"{name}.{key}", child, found)


def _of_the_data(
    recipe: RecipeSubject, network: Discriminator
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    labels = recipe.store.arrays.get("labels")
    takes = "condition" in inspect.signature(network.forward).parameters
    named = {"condition": labels[:FEW]} if takes and labels is not None else {}
    return (recipe.real(min(FEW, len(recipe.store))),), named


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: _copied(inner) for key, inner in value.items()}
    return type(value)(map(_copied, value)) if type(value) in (tuple, list) else value


def _first(value: Any, count: int, size: int | None = None) -> Any:
    """Return ``count`` samples of each tensor that is as long as the first; repeat if needed."""
    size = size if size is not None else _length(value)
    if isinstance(value, Tensor):
        if value.dim() == 0 or len(value) != size:
            return value
        return value[torch.arange(count) % size]
    if isinstance(value, dict):
        return {key: _first(inner, count, size) for key, inner in value.items()}
    if type(value) in (tuple, list):
        return type(value)(_first(inner, count, size) for inner in value)
    return value


def _length(value: Any) -> int | None:
    if isinstance(value, Tensor):
        return len(value) if value.dim() else None
    if isinstance(value, dict):
        value = value.values()
    elif type(value) not in (tuple, list):
        return None
    lengths = (_length(inner) for inner in value)
    return next((length for length in lengths if length is not None), None)

"""How a function becomes a check, and what it applies to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from aigc_core.plugins import DatasetSpec, RecipeSpec
from aigc_core.testing.results import CheckFailed

Kind = Literal["plugin", "modality", "modality on a dataset", "dataset", "recipe", "metric"]
Function = TypeVar("Function", bound=Callable[[Any], str | None])


@dataclass(frozen=True)
class Check:
    """One promise of the contract, and the function that tests it."""

    name: str
    kind: Kind
    function: Callable[[Any], str | None]
    """Takes the subject; raises ``CheckFailed``, or anything, if the promise is not kept. May
    return a note if it is."""
    applies: Callable[[Any], bool] = lambda spec: True
    """Whether the subject's spec makes this promise."""


class Checks(list[Check]):
    """The checks of one module, in order."""

    def plugin(self, function: Function) -> Function:
        """Check every plugin."""
        return self._add("plugin", function)

    def modality(self, function: Function) -> Function:
        """Check every modality."""
        return self._add("modality", function)

    def modality_on_a_dataset(self, function: Function) -> Function:
        """Check every modality, with each embedded dataset of its own plugin."""
        return self._add("modality on a dataset", function)

    def metric(self, function: Function) -> Function:
        """Check every metric."""
        return self._add("metric", function)

    def dataset(self, applies: Callable[[DatasetSpec], bool]) -> Callable[[Function], Function]:
        """Check datasets with such a spec."""
        return lambda function: self._add("dataset", function, applies)

    def recipe(
        self, applies: Callable[[RecipeSpec], bool] = lambda spec: True
    ) -> Callable[[Function], Function]:
        """Check recipes with such a spec."""
        return lambda function: self._add("recipe", function, applies)

    def _add(
        self, kind: Kind, function: Function, applies: Callable[[Any], bool] = lambda spec: True
    ) -> Function:
        name = function.__name__.replace("_", "-")
        self.append(Check(name, kind, function, applies))
        return function


def fail_unless(condition: object, message: str) -> None:
    """Raise ``CheckFailed`` with this message unless the condition holds."""
    if not condition:
        raise CheckFailed(message)

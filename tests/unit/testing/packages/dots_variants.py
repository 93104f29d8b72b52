"""Making plugins out of the dots plugin's specs, with something changed."""

import types
from typing import Any

import dots

from aigc_core import hookimpl
from aigc_core.testing import isolated_host
from aigc_core.testing.results import CheckResult
from aigc_core.testing.runner import Runner

MODALITY = dots.aigc_register_modalities()[0]
RING, STARS = dots.aigc_register_datasets()
GAN, MOMENTS = dots.aigc_register_recipes()


def plugin(name: str = "variant", **hooks: Any) -> types.ModuleType:
    """A plugin's module: lists of specs by the hook that returns them, or other hooks."""
    module = types.ModuleType(name)
    for hook, value in hooks.items():
        function = value if callable(value) else _returning(value)
        setattr(module, f"aigc_{hook}", hookimpl(function))
    return module


def _returning(specs: list[Any]) -> Any:
    return lambda: specs


def dots_with(
    *,
    modality: dict[str, Any] | None = None,
    ring: dict[str, Any] | None = None,
    stars: dict[str, Any] | None = None,
    gan: dict[str, Any] | None = None,
    more_datasets: list[Any] | None = None,
    **hooks: Any,
) -> types.ModuleType:
    """The dots plugin with one recipe, and fields of its specs changed."""
    return plugin(
        register_modalities=[_changed(MODALITY, modality)],
        register_datasets=[_changed(RING, ring), _changed(STARS, stars), *(more_datasets or [])],
        register_recipes=[_changed(GAN, gan)],
        **hooks,
    )


def _changed(spec: Any, changes: dict[str, Any] | None) -> Any:
    return type(spec).model_validate(spec.model_dump() | (changes or {}))


def results_of(module: types.ModuleType, *beside: object) -> list[CheckResult]:
    """Do all checks of a plugin."""
    with Runner(isolated_host(module, *beside), module.__name__) as runner:
        return runner.run_all()


def failed(results: list[CheckResult]) -> dict[str, str]:
    """The messages of what failed, by name of the check."""
    return {result.check: result.message for result in results if result.status == "failed"}

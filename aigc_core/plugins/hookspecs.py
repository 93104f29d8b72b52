"""The hooks through which the core calls plugins. Each docstring says when it is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from aigc_core.plugins.specs import DatasetSpec, MetricSpec, ModalitySpec, RecipeSpec

if TYPE_CHECKING:
    import typer

    from aigc_core.runs import Run

PROJECT = "aigc"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def aigc_register_modalities() -> Sequence[ModalitySpec]:  # type: ignore[empty-body]
    """Return the modalities that this plugin provides. Called once, when the plugin is loaded."""


@hookspec
def aigc_register_datasets() -> Sequence[DatasetSpec]:  # type: ignore[empty-body]
    """Return the datasets that this plugin provides. Called once, when the plugin is loaded."""


@hookspec
def aigc_register_recipes() -> Sequence[RecipeSpec]:  # type: ignore[empty-body]
    """Return the recipes that this plugin provides. Called once, when the plugin is loaded."""


@hookspec
def aigc_register_metrics() -> Sequence[MetricSpec]:  # type: ignore[empty-body]
    """Return the metrics that this plugin provides. Called once, when the plugin is loaded."""


@hookspec
def aigc_extend_cli(app: typer.Typer) -> None:
    """Add commands to ``aigc``. Called each time the command line starts, so import lazily."""


@hookspec
def aigc_run_started(run: Run, config: Mapping[str, Any], start_step: int) -> None:
    """Called when training begins or resumes, before its first step.

    ``config`` is the whole resolved configuration; ``start_step`` is 0 for a new run.
    """


@hookspec
def aigc_metrics_logged(run: Run, step: int, metrics: Mapping[str, float]) -> None:
    """Called at every log interval, and after validations, with means over the interval by name.

    Names: ``loss/<phase>``, ``gradient_norm/<phase>``, ``samples_per_second``, whatever the trainer
    logs itself, and, as current values, ``learning_rate/<phase>`` if it is scheduled and what
    validation measured; ``epoch`` and ``skipped_updates`` are running totals, not means.
    """


@hookspec
def aigc_samples_drawn(run: Run, step: int, preview: Path) -> None:
    """Called after samples are drawn during training; ``preview`` is the file that shows them."""


@hookspec
def aigc_checkpoint_saved(run: Run, step: int, path: Path) -> None:
    """Called once the checkpoint in the folder ``path`` is complete and on disk."""


@hookspec
def aigc_run_finished(run: Run, step: int, status: str) -> None:
    """Called last, whatever happened: ``status`` is complete, interrupted or failed."""

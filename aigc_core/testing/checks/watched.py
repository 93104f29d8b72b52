"""The calls that observers get, recorded in a real training or made up in the same form."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aigc_core.api import train
from aigc_core.config import DatasetConfig, EngineConfig, RunConfig
from aigc_core.interfaces import ConfigModel, SampleSpec
from aigc_core.plugins import hookimpl, use_host
from aigc_core.runs import DatasetFacts, Run, create_run
from aigc_core.testing.process.hosts import describe_host, make_host
from aigc_core.testing.recipe_subject import SMALL, RecipeSubject

Calls = list[tuple[str, dict[str, Any]]]
"""Hooks and their arguments, in the order in which they were called."""


class Listener:
    """Records every call of an observer's hooks."""

    def __init__(self) -> None:
        self.calls: Calls = []

    def _note(self, hook: str, **arguments: Any) -> None:
        self.calls.append((hook, arguments))

    @hookimpl
    def aigc_run_started(self, run: Run, config: Mapping[str, Any], start_step: int) -> None:
        self._note("aigc_run_started", run=run, config=config, start_step=start_step)

    @hookimpl
    def aigc_metrics_logged(self, run: Run, step: int, metrics: Mapping[str, float]) -> None:
        self._note("aigc_metrics_logged", run=run, step=step, metrics=metrics)

    @hookimpl
    def aigc_samples_drawn(self, run: Run, step: int, preview: Path) -> None:
        self._note("aigc_samples_drawn", run=run, step=step, preview=preview)

    @hookimpl
    def aigc_checkpoint_saved(self, run: Run, step: int, path: Path) -> None:
        self._note("aigc_checkpoint_saved", run=run, step=step, path=path)

    @hookimpl
    def aigc_run_finished(self, run: Run, step: int, status: str) -> None:
        self._note("aigc_run_finished", run=run, step=step, status=status)


def calls_of_a_training(recipe: RecipeSubject, folder: Path) -> Calls:
    """Train the tiny recipe, with no plugin watching, and return the calls that observers got."""
    _ = recipe.config  # fails if there is nothing to train on
    specs_alone = make_host(describe_host(recipe.plugin.host, plugin=""))
    listener = Listener()
    with use_host(specs_alone):
        train(
            recipe.spec.name,
            preset=recipe.preset,
            overrides=SMALL,
            out=folder,
            progress=False,
            observers=[listener],
        )
    return listener.calls


def made_up_calls(folder: Path) -> Calls:
    """Return the calls that training a made-up recipe would make."""
    run = _made_up_run(folder)
    preview, checkpoint = run.samples / "step-000001.txt", run.checkpoints / "step-000001"
    preview.write_text("a sample\n", encoding="utf-8")
    checkpoint.mkdir()
    metrics = {
        "loss/made-up": 1.0,
        "gradient_norm/made-up": 1.0,
        "skipped_updates": 0.0,
        "epoch": 0.1,
        "samples_per_second": 10.0,
    }
    return [
        ("aigc_run_started", {"run": run, "config": run.config, "start_step": 0}),
        ("aigc_metrics_logged", {"run": run, "step": 1, "metrics": metrics}),
        ("aigc_checkpoint_saved", {"run": run, "step": 1, "path": checkpoint}),
        ("aigc_samples_drawn", {"run": run, "step": 1, "preview": preview}),
        ("aigc_run_finished", {"run": run, "step": 1, "status": "complete"}),
    ]


def _made_up_run(folder: Path) -> Run:
    config = RunConfig(
        recipe="made-up/none",
        dataset=DatasetConfig(name="made-up"),
        model=ConfigModel(),
        trainer=ConfigModel(),
        engine=EngineConfig(steps=1, batch_size=1, device="cpu"),
    )
    part = {"plugin": "made-up", "distribution": None}
    return create_run(
        folder,
        config=config.to_dict(),
        dataset=DatasetFacts(spec=SampleSpec(shape=(1,), dtype="uint8"), count=1, digest="0"),
        environment={
            "started": "2026-01-01T00:00:00+00:00",
            "aigc_core": "0",
            "plugins": {"made-up": None},
            "needs": {"recipe": part, "modality": part, "dataset": part},
            "python": "3",
            "torch": "2",
            "platform": "made up",
            "device": "cpu",
            "precision": "fp32",
            "threads": 1,
            "cpu": "DEFAULT",
            "commit": None,
            "command": ["aigc", "train", "made-up/none"],
            "run": {"config": {}, "dataset": {}, "metrics": None},
        },
    )

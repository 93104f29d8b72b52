"""What a report says of a run, read from its folder."""

from __future__ import annotations

import contextlib
import functools
import shlex
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aigc_core.config import Layer, resolve_config
from aigc_core.config.layers import leaves
from aigc_core.errors import RunError, UserError
from aigc_core.plugins import get_host
from aigc_core.runs import Run

SECTIONS = ("dataset", "model", "trainer", "engine")
SPEED = "samples_per_second"


@dataclass(frozen=True)
class Setting:
    """A value of a run's configuration."""

    value: Any
    origin: str
    """``default``, ``recipe``, the preset, ``given`` or ``tuned``; empty if the recipe is not
    installed."""


@dataclass(frozen=True)
class Series:
    """One metric of a run, at the steps where it was measured."""

    steps: Sequence[int]
    values: Sequence[float]


class RunFacts:
    """What a report says of one run."""

    def __init__(self, run: Run, name: str) -> None:
        """Take a run and the name by which the report calls it."""
        self.run, self.name = run, name
        trainer = run.config.get("trainer")
        self.is_private = isinstance(trainer, dict) and trainer.get("privacy") is not None
        """Whether its seed has to stay secret, since its noise follows from it."""

    @functools.cached_property
    def settings(self) -> dict[str, Setting]:
        """Its configuration by dotted key, without a secret seed."""
        config = {name: self.run.config.get(name) or {} for name in SECTIONS}
        origins = self._origins(config)
        found = {key: Setting(value, origins(key, value)) for key, value in leaves(config)}
        if self.is_private:
            found.pop("engine.seed", None)
        root = found.get("dataset.root")
        if root is not None and root.value is not None:
            found["dataset.root"] = Setting(_without_home(str(root.value)), root.origin)
        return found

    def _origins(self, config: Mapping[str, Any]) -> Any:
        dataset = {"name": config["dataset"].get("name")}
        try:
            resolved = resolve_config(
                get_host(),
                self.run.recipe,
                preset=self.run.config.get("preset"),
                layers=[Layer("given", {"dataset": dataset})],
            )
        except (UserError, AttributeError, TypeError):
            return lambda key, value: ""
        defaults = dict(leaves(resolved.config.to_dict()))

        def origin(key: str, value: Any) -> str:
            if key.startswith("engine.tuned."):
                return "tuned"
            same = key in defaults and defaults[key] == value
            return resolved.sources.get(key, "default") if same else "given"

        return origin

    @functools.cached_property
    def metrics(self) -> dict[str, Series]:
        """What was logged, by name, in the order of its first appearance."""
        found: dict[str, tuple[list[int], list[float]]] = {}
        for line in self.run.metrics:
            step = int(line["step"] or 0)
            for name, value in line.items():
                if name not in ("step", "epoch") and isinstance(value, int | float):
                    steps, values = found.setdefault(name, ([], []))
                    steps.append(step)
                    values.append(float(value))
        return {name: Series(steps, values) for name, (steps, values) in found.items()}

    @functools.cached_property
    def environment(self) -> dict[str, Any]:
        """The versions and the machine it was trained with."""
        try:
            known = self.run.environment
        except RunError:
            return {}
        names = (
            "started", "aigc_core", "plugins", "python", "torch", "platform", "device", "precision",
            "threads", "cpu", "commit",
        )  # fmt: skip
        found = {name: known[name] for name in names if known.get(name) is not None}
        if isinstance(found.get("plugins"), dict):
            found["plugins"] = ", ".join(f"{k} {v}" for k, v in found["plugins"].items())
        if self.command:
            found["command"] = _without_home(shlex.join(self.command))
        return found

    @functools.cached_property
    def command(self) -> list[str]:
        """The words of the command that started it; none of a private run: a seed may be there."""
        with contextlib.suppress(RunError):
            words = self.run.environment.get("command")
            if isinstance(words, list) and words and not self.is_private:
                return ["aigc", *map(str, words[1:])]
        return []

    @functools.cached_property
    def summary(self) -> dict[str, str]:
        """The first things to know of it."""
        run, best, ending = self.run, self.run.best, self.run.ending
        dataset = run.config.get("dataset")
        found = {
            "recipe": run.recipe,
            "data": str(dataset.get("name", "")) if isinstance(dataset, dict) else "",
            "preset": str(run.config.get("preset") or ""),
            "steps": f"{run.step:,} of {run.total_steps:,}, {run.status}",
            "ended": ending.message if ending else "",
            "best": str(best) if best else "",
            "training time": duration(run.train_seconds) if run.train_seconds else "",
        }
        speed = self.metrics.get(SPEED)
        if speed is not None:
            found["samples a second (median)"] = f"{statistics.median(speed.values):,.0f}"
        skipped = self.metrics.get("skipped_updates")
        if skipped is not None and any(skipped.values):
            found["skipped updates"] = f"{max(skipped.values):,.0f}"
        found |= {f"made from: {name}": text for name, text in self._parents().items()}
        if self.is_private:
            last = {name: self.metrics[f"privacy/{name}"].values[-1] for name in ("epsilon",)
                    if f"privacy/{name}" in self.metrics}  # fmt: skip
            found["private"] = ", ".join(f"{name} {value:.4g}" for name, value in last.items())
        return {name: text for name, text in found.items() if text}

    def _parents(self) -> dict[str, str]:
        found = {}
        with contextlib.suppress(AttributeError, TypeError, ValueError):
            for name, parent in (self.run.config.get("parents") or {}).items():
                where = Path(str(parent["run"])).name
                found[str(name)] = f"{parent['recipe']}, step {parent['step']:,} of {where}"
            initial = self.run.config.get("initial")
            if initial:
                step = f", step {initial['step']:,}" if initial.get("step") is not None else ""
                found["initial weights"] = Path(str(initial["source"])).name + step
        return found

    @property
    def scores(self) -> dict[str, Series]:
        """What was measured on held-out data."""
        return {n: s for n, s in self.metrics.items() if n.startswith(("validation/", "metric/"))}


def duration(seconds: float) -> str:
    """Return a duration in words, such as ``1 h 04 min``."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return (
        f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min {rest} s"
    )


def named(runs: Sequence[Run]) -> list[RunFacts]:
    """Return facts of runs, each with the shortest end of its path that no other has."""
    for length in range(1, 12):
        names = ["/".join(run.path.parts[-length:]) for run in runs]
        if len(set(names)) == len(runs):
            break
    return [RunFacts(run, name) for run, name in zip(runs, names, strict=True)]


def _without_home(text: str) -> str:
    """Return a text without the path of the user's folder, which names them."""
    home = str(Path.home())
    return text.replace(home, "~") if len(home) > 1 else text

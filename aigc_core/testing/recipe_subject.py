"""A recipe under test: its tiny form, ready to be built and trained."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from aigc_core.api import train
from aigc_core.api.blueprint import Blueprint, Lineage, Parts
from aigc_core.api.lineage import Origins
from aigc_core.config import Layer, RunConfig, resolve_config
from aigc_core.config.layers import nest
from aigc_core.engine import Engine
from aigc_core.engine.data import ResidentData
from aigc_core.engine.sampling import row_conditions
from aigc_core.interfaces import Generator, SampleStore
from aigc_core.plugins import PluginHost, RecipeSpec
from aigc_core.runs import Run
from aigc_core.testing.once import once
from aigc_core.testing.results import CheckFailed

CPU = torch.device("cpu")
MOST_SAMPLES = 512
"""A recipe is trained on at most this many samples."""
STEPS = 4
SMALL = {  # makes any tiny training take about a second, and repeatable
    "engine.steps": STEPS,
    "engine.device": "cpu",
    "engine.precision": "fp32",
    "engine.seed": 0,
    "engine.log_every": 1,
    "engine.sample_every": 2,
    "engine.sample_count": 4,
    "engine.checkpoint.every": 2,
}


class Owner(Protocol):
    """The plugin that brings a recipe: the part of ``PluginSubject`` that recipes use."""

    host: PluginHost
    name: str
    folder: Path

    def answer(self, task: str) -> dict[str, Any]:
        """Return what the separate process found for a task."""


@dataclass(eq=False)
class RecipeSubject:
    """A recipe in its tiny form."""

    plugin: Owner
    spec: RecipeSpec

    @property
    def label(self) -> str:
        """Its name in results."""
        return f"recipe {self.spec.name}"

    @property
    def folder(self) -> Path:
        """Where checks may write; created if missing."""
        folder = self.plugin.folder / "recipes" / self.spec.name.replace("/", "-")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def preset(self) -> str | None:
        """The preset that is trained: ``tiny``, or None if there is none of that name."""
        return "tiny" if "tiny" in self.spec.presets else None

    @once
    def config(self) -> RunConfig:
        """The recipe's tiny configuration."""
        host = self.plugin.host
        layer = Layer("the contract suite", nest(SMALL))
        config = resolve_config(host, self.spec.name, preset=self.preset, layers=[layer]).config
        dataset = host.dataset(config.dataset.name, self.spec.modality)
        if not dataset.embedded:
            where = "its preset 'tiny' names" if self.preset else "its default is"
            raise CheckFailed(
                f"The recipe '{self.spec.name}' has nothing to be checked on: {where} the dataset "
                f"'{dataset.name}', which is not embedded. Give it a preset named 'tiny' with "
                "small networks on an embedded dataset."
            )
        return config

    @once
    def parents(self) -> dict[str, Run]:
        """The recipe's parents: for each the tiny form of the first recipe that can be one."""
        found = {}
        for name, parent in self.spec.parents.items():
            spec = self.plugin.host.recipe(parent.recipes[0])
            found[name] = RecipeSubject(self.plugin, spec).train(self.folder / "parents" / name)
        return found

    def train(self, folder: Path) -> Run:
        """Train its tiny form into a new folder, as a user does; its parents before it."""
        return train(
            self.spec.name,
            preset=self.preset,
            overrides=SMALL,
            out=folder,
            parents=self.parents,
            progress=False,
        )

    def open_lineage(self) -> Lineage:
        """Load the parents' networks anew."""
        host = self.plugin.host
        return Origins.open(host, self.spec, self.parents, None, strict=False).lineage

    @once
    def blueprint(self) -> Blueprint:
        """What the configuration means."""
        return Blueprint.of(self.plugin.host, self.config, self.open_lineage())

    @once
    def store(self) -> SampleStore:
        """The recipe's tiny training data."""
        return few_of(self.blueprint.load())

    def build(self) -> Parts:
        """Make modality and trainer anew, as a training does; weights follow from the seed."""
        return self.blueprint.parts(self.store)

    @once
    def parts(self) -> Parts:
        """The recipe's modality and trainer.

        For checks that do not change them.
        """
        return self.build()

    def engine(self, **changes: Any) -> Engine:
        """Return an engine around a new build; ``changes`` override its configuration."""
        parts, config = self.build(), self.config.engine.model_copy(update=changes)
        return Engine(
            parts.trainer,
            self.store.arrays,
            config,
            transform=parts.transforms,
            streams=self.store.streams,
        )

    @once
    def data(self) -> ResidentData:
        """The recipe's tiny training data, as an engine has it."""
        store, transforms = self.store, self.parts.transforms
        return ResidentData(store.arrays, CPU, transforms, store.streams)

    def conditions(self, generator: Generator, count: int) -> dict[str, Tensor]:
        """Return what a generator is asked for ``count`` samples: as rows say, or each class."""
        return conditions_of(generator, self.data, count)

    def real(self, count: int) -> Tensor:
        """Return ``(count, *sample_shape)`` samples of the data in the model's form."""
        stored = self.store.arrays["samples"]
        return self.parts.modality.to_model(stored[torch.arange(count) % len(stored)])


def conditions_of(generator: Generator, data: ResidentData, count: int) -> dict[str, Tensor]:
    """Return what a generator is asked for ``count`` samples: as rows say, or each class."""
    found = row_conditions(generator, data, torch.arange(count) % len(data))
    if generator.label_count:
        found.setdefault("label", torch.arange(count) % generator.label_count)
    return found


def few_of(whole: SampleStore) -> SampleStore:
    """Return at most ``MOST_SAMPLES`` of each array."""
    some = {name: array[:MOST_SAMPLES] for name, array in whole.arrays.items()}
    return dataclasses.replace(whole, arrays=some)

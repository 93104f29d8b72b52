"""Subjects of checks: a plugin and what it brings; expensive parts are made only once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aigc_core.interfaces import ConfigModel, DataFolders, Dataset, Modality, SampleStore
from aigc_core.plugins import (
    DatasetSpec,
    MetricSpec,
    ModalitySpec,
    PluginHost,
    PluginStatus,
)
from aigc_core.testing.once import once
from aigc_core.testing.process import ask
from aigc_core.testing.process.ask import Answers
from aigc_core.testing.process.hosts import describe_host, entry_module
from aigc_core.testing.recipe_subject import RecipeSubject
from aigc_core.testing.results import CheckFailed, Unavailable

FEW = 5
"""How many samples a modality saves and previews."""
MANY = 128
"""How many samples, from all over the dataset, are converted: only some values show rounding."""


@dataclass(eq=False)
class PluginSubject:
    """A plugin as its host knows it."""

    host: PluginHost
    name: str
    folder: Path
    """Where checks may work; ``folder/cache`` is the cache."""
    planned: set[tuple[str, str]] = field(default_factory=set)
    """``(subject, check)`` of every planned check."""

    def __post_init__(self) -> None:
        status = self.status
        self.modalities = [
            ModalitySubject(self, self.host.modalities[n]) for n in status.modalities
        ]
        self.datasets = [DatasetSubject(self, self.host.datasets[n]) for n in status.datasets]
        self.metrics = [MetricSubject(self, self.host.metrics[n]) for n in status.metrics]
        self.recipes = [RecipeSubject(self, self.host.recipes[n]) for n in status.recipes]

    @property
    def label(self) -> str:
        """Its name in results."""
        return f"plugin {self.name}"

    @property
    def status(self) -> PluginStatus:
        """What the host knows about it."""
        status = self.host.status(self.name)
        assert status is not None, self.name  # the runner checked that it exists
        return status

    @once
    def imports(self) -> Answers:
        """What a process of its own found when it imported the plugin, by reference or hook."""
        entry = entry_module(self.host, self.status)
        if not entry:
            raise CheckFailed(
                f"The plugin was registered as an object of {self.status.module}, so there is no "
                "module that another process could import. Put its hooks into a module, as the "
                "entry point of an installed plugin names one."
            )
        return ask.ask(
            "imports", self.folder / "imports", entry=entry, references=list(self.light_references)
        )

    @property
    def light_references(self) -> dict[str, str]:
        """Each reference that listings and ``aigc config`` import -> what it is; module first."""
        found = {str(entry_module(self.host, self.status)): "the plugin's own module"}
        for recipe in self.recipes:
            found.setdefault(recipe.spec.model, f"model of the {recipe.label}")
            found.setdefault(recipe.spec.trainer, f"trainer of the {recipe.label}")
        for dataset in self.datasets:
            if dataset.spec.options is not None:
                found.setdefault(dataset.spec.options, f"options of the {dataset.label}")
        return found

    @once
    def answers(self) -> Answers:
        """What a process of its own answers to all tasks."""
        tasks = [dataset.label for dataset in self.datasets if dataset.spec.embedded]
        tasks += [recipe.label for recipe in self.recipes]
        return ask.ask(
            "tasks",
            self.folder / "child",
            plugins=describe_host(self.host, self.name),
            plugin=self.name,
            tasks=tasks,
            threads=torch.get_num_threads(),
        )

    def answer(self, task: str) -> dict[str, Any]:
        """Return what the separate process found for a task such as ``recipe points/gan``.

        Raises:
            Unavailable: the process did not get that far, or the task failed.
        """
        found = self.answers.get(task, self.answers[""])
        if "error" in found:
            raise Unavailable(f"In a process of its own: {found['error']}")
        return found


@dataclass(eq=False)
class ModalitySubject:
    """A kind of content, on its own."""

    plugin: PluginSubject
    spec: ModalitySpec

    @property
    def label(self) -> str:
        """Its name in results."""
        return f"modality {self.spec.name}"

    def on_datasets(self) -> Iterator[ModalityOnDataset]:
        """Yield it with each embedded dataset of this modality that the plugin brings."""
        for dataset in self.plugin.datasets:
            if dataset.spec.embedded and dataset.spec.modality == self.spec.name:
                yield ModalityOnDataset(self, dataset)


@dataclass(eq=False)
class DatasetSubject:
    """A source of samples."""

    plugin: PluginSubject
    spec: DatasetSpec

    @property
    def label(self) -> str:
        """Its name in results."""
        return f"dataset {self.spec.name}"

    @once
    def schema(self) -> type[ConfigModel] | None:
        """The class of the dataset's options."""
        if self.spec.options is None:
            return None
        schema: type[ConfigModel] = self.plugin.host.resolve(self.spec.options, self.plugin.name)
        return schema

    @once
    def options(self) -> ConfigModel | None:
        """The default options of the dataset."""
        return None if self.schema is None else self.schema()

    def make(self, cache: Path) -> Dataset:
        """Make the dataset with its default options and without the user's data."""
        cls = self.plugin.host.resolve(self.spec.code, self.plugin.name)
        dataset: Dataset = cls(self.options, DataFolders(root=None, cache=cache))
        return dataset

    @once
    def store(self) -> SampleStore:
        """The samples of the dataset's first split."""
        dataset = self.make(self.plugin.folder / "cache")
        dataset.prepare()
        return dataset.load(self.spec.splits[0])


@dataclass(eq=False)
class MetricSubject:
    """A metric, which compares samples."""

    plugin: PluginSubject
    spec: MetricSpec

    @property
    def label(self) -> str:
        """Its name in results."""
        return f"metric {self.spec.name}"

    def make(self) -> Any:
        """Return a new instance of the metric."""
        return self.plugin.host.resolve(self.spec.code, self.plugin.name)()

    def on_a_dataset(self) -> ModalityOnDataset:
        """Return samples for it: the first embedded dataset of any plugin that fits its modality.

        Raises:
            Unavailable: there is none.
        """
        host = self.plugin.host
        for spec in host.datasets.values():
            fits = self.spec.modality in (None, spec.modality)
            if spec.embedded and fits and spec.modality in host.modalities:
                owner = PluginSubject(host, host.owner("dataset", spec.name), self.plugin.folder)
                modality = ModalitySubject(
                    PluginSubject(host, host.owner("modality", spec.modality), self.plugin.folder),
                    host.modalities[spec.modality],
                )
                return ModalityOnDataset(modality, DatasetSubject(owner, spec))
        raise Unavailable(
            f"No plugin brings an embedded dataset of {self.spec.modality or 'any modality'}, so "
            "there is nothing to compare."
        )


@dataclass(eq=False)
class ModalityOnDataset:
    """A modality with a dataset's samples."""

    of: ModalitySubject
    dataset: DatasetSubject

    @property
    def label(self) -> str:
        """Its name in results."""
        return f"{self.of.label} on {self.dataset.spec.name}"

    @property
    def folder(self) -> Path:
        """Where checks may write; created if missing."""
        folder = self.of.plugin.folder / "modalities" / self.of.spec.name / self.dataset.spec.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @once
    def modality(self) -> Modality:
        """The modality for the dataset's samples."""
        plugin = self.of.plugin
        modality: Modality = plugin.host.resolve(self.of.spec.code, plugin.name)(
            self.dataset.store.spec
        )
        return modality

    @property
    def stored(self) -> Tensor:
        """A few samples as the dataset stores them, ``(n, *spec.shape)`` with n at most FEW."""
        return self.spread(FEW)

    def spread(self, most: int) -> Tensor:
        """Return up to ``most`` stored samples, from all over the dataset."""
        samples = self.dataset.store.arrays["samples"]
        return samples[:: max(1, len(samples) // most)][:most].clone()

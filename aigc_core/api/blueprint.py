"""Resolves the names in a configuration once, and builds the objects they stand for."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch

from aigc_core.api.fitting import Budget
from aigc_core.api.initial import InitialWeights
from aigc_core.api.metrics import Metrics
from aigc_core.config import RunConfig, cache_folder, data_root
from aigc_core.engine import Engine, derive_seed, isolated_rng
from aigc_core.engine.data import Transform
from aigc_core.errors import ConfigError, DataError, PluginError, UserError, did_you_mean
from aigc_core.interfaces import (
    DataFolders,
    Dataset,
    Modality,
    RecipeContext,
    SampleSpec,
    SampleStore,
    Trainer,
)
from aigc_core.interfaces.recipe import MissingColumnError, Parent, RunFacts
from aigc_core.networks.lora import add_adapters, merge_adapters
from aigc_core.plugins import DatasetSpec, ModalitySpec, PluginHost, RecipeSpec
from aigc_core.runs import DatasetFacts
from aigc_core.runs.facts import columns_difference, spec_difference


class Parts(NamedTuple):
    """The objects a run is built from."""

    modality: Modality
    trainer: Trainer
    columns: dict[str, Modality]
    """The modality of every further column of the data."""

    @property
    def modalities(self) -> dict[str, Modality]:
        """The modality of every column, ``samples`` among them."""
        return {"samples": self.modality, **self.columns}

    @property
    def transforms(self) -> dict[str, Transform]:
        """What maps each array to the model's form."""
        return {name: modality.to_model for name, modality in self.modalities.items()}


class Lineage(NamedTuple):
    """What networks are made from besides settings: those of other runs."""

    parents: Mapping[str, Parent] = {}
    initial: InitialWeights | None = None


class HeldOut(NamedTuple):
    """A split that is not trained on."""

    split: str
    store: SampleStore


class Assembly(NamedTuple):
    """An engine with loaded data, and what is needed alongside it."""

    engine: Engine
    modalities: dict[str, Modality]
    """The modality of every column of the data."""
    held_out: HeldOut | None
    """The data that validations measure on; None if there are no validations."""


@dataclass(frozen=True)
class Blueprint:
    """A configuration with its names resolved."""

    host: PluginHost
    config: RunConfig
    recipe: RecipeSpec
    modality: ModalitySpec
    dataset: DatasetSpec
    lineage: Lineage

    @classmethod
    def of(cls, host: PluginHost, config: RunConfig, lineage: Lineage | None = None) -> Blueprint:
        """Resolve the names in a configuration.

        Args:
            host: knows the names.
            config: holds them.
            lineage: networks of other runs that this one is made from.

        Raises:
            PluginError: no plugin provides a name; the message suggests a similar one or a fix.
        """
        recipe = host.recipe(config.recipe)
        dataset = host.dataset(config.dataset.name, recipe.modality)
        modality = host.modality(dataset.modality)
        return cls(host, config, recipe, modality, dataset, lineage or Lineage())

    def make_dataset(self) -> Dataset:
        """Make the configured dataset; nothing is read yet."""
        spec, named = self.dataset, self.config.dataset.root
        root = data_root(named) if named or not spec.embedded else None
        owner = self.host.owner("dataset", spec.name)
        make = self.host.resolve(spec.code, owner)
        dataset = make(self.config.dataset.options, DataFolders(root, cache_folder()))
        _expect(dataset, Dataset, spec.code, owner)
        return cast(Dataset, dataset)

    def load(self, split: str = "train") -> SampleStore:
        """Prepare and load a split of the configured dataset.

        Raises:
            DataError: it cannot be found, downloaded, trusted or read, or there is nothing to
                train on.
        """
        spec, dataset = self.dataset, self.make_dataset()
        owner = self.host.owner("dataset", spec.name)
        try:
            dataset.prepare()
            store = dataset.load(split)
        except (OSError, MemoryError) as error:
            raise DataError(f"The dataset '{spec.name}' could not be loaded: {error}.") from error
        if split == "train" and not len(store):
            raise DataError(f"The dataset '{spec.name}' has no sample to train on.")
        for name, column in store.columns.items():
            if spec.columns.get(name) != column.modality:
                raise PluginError(
                    f"The plugin '{owner}' gave the dataset '{spec.name}' a column '{name}' of "
                    f"{column.modality}, and its DatasetSpec does not declare one."
                )
        return store

    def held_out(self, like: SampleStore | DatasetFacts) -> HeldOut | None:
        """Return the split ``validation``, else ``test``, or None without either.

        A split that is empty by configuration counts as missing.

        Args:
            like: what is trained on, or what a run remembers of it.

        Raises:
            DataError: as for ``load``, or its sample spec or classes differ from the training
                data's.
        """
        split = next((name for name in ("validation", "test") if name in self.dataset.splits), None)
        if split is None:
            return None
        store = self.load(split)
        where = f"The split '{split}' of '{self.dataset.name}'"
        found = spec_difference(like.spec, store.spec)
        found = found or columns_difference(like.columns, store.columns)
        if found is not None:
            raise DataError(f"{where} does not go with the training data: {found}.")
        if "labels" in store.arrays and store.label_names != like.label_names:
            raise DataError(
                f"{where} has the classes {list(store.label_names)}, and the training data "
                f"{list(like.label_names)}: the same label would mean two things."
            )
        return HeldOut(split, store) if len(store) else None

    def make_modality(self, spec: SampleSpec, name: str | None = None) -> Modality:
        """Make the modality of this name, or the recipe's, for samples of a spec.

        Raises:
            PluginError: nobody brings it, or its code is not what it should be.
        """
        found = self.modality if name is None else self.host.modality(name)
        owner = self.host.owner("modality", found.name)
        modality = self.host.resolve(found.code, owner)(spec)
        _expect(modality, Modality, found.code, owner)
        return cast(Modality, modality)

    def parts(
        self,
        data: SampleStore | DatasetFacts,
        budget: Budget | None = None,
        *,
        steps: int | None = None,
        training: bool = False,
    ) -> Parts:
        """Make the modalities and the trainer; weights follow from ``engine.seed``, on any device.

        Args:
            data: what is trained on, or what a run remembers of it.
            budget: what networks may take whose weights are known; None for a new run.
            steps: of the training, if it is known better than from the configuration.
            training: whether the networks are to be trained.

        Raises:
            RunError: the networks exceed the budget.
            PluginError: the plugin's code cannot be loaded or has the wrong type.
            ConfigError: the recipe cannot be built with these settings.
        """
        host, config, modality = self.host, self.config, self.make_modality(data.spec)
        columns = {n: self.make_modality(c.spec, c.modality) for n, c in data.columns.items()}
        owner = host.owner("recipe", self.recipe.name)
        build = host.resolve(self.recipe.build, owner)
        context = RecipeContext(
            config.model,
            config.trainer,
            modality.sample_shape,
            data.spec,
            len(data.label_names),
            columns,
            self._run_facts(data, steps, training),
            self.lineage.parents,
            modality,
        )
        seed = derive_seed(config.engine.seed, "weights")
        try:
            with isolated_rng(torch.device("cpu"), seed), budget or contextlib.nullcontext():
                trainer = build(context)
                _expect(trainer, Trainer, self.recipe.build, owner)
                self._start(trainer)
        except MissingColumnError as error:
            raise ConfigError(f"{error}{self._with_column(error.column)}") from error
        return Parts(modality, trainer, columns)

    def _start(self, trainer: Trainer) -> None:
        """Let networks start from the weights that were given, and give them adapters."""
        initial, lora = self.lineage.initial, self.config.engine.lora
        if initial is not None:
            initial.apply(trainer)
        if lora is None:
            return
        if initial is None:
            raise ConfigError(
                "engine.lora adapts weights that were trained before. Give them with: --init-from "
                "RUN"
            )
        random = [*initial.fit.missing, *initial.fit.reshaped] if initial.fit else []
        if random:
            raise ConfigError(
                f"engine.lora learns nothing but adapters, and {len(random):,} weights would stay "
                f"random, since --init-from has none that fit, such as '{random[0]}'. Leave "
                "engine.lora out, or choose the model's and the data's settings as they were there."
            )
        networks = trainer.networks()
        if not add_adapters(networks, lora.rank, lora.alpha, lora.targets):
            names = [f"{n}.{k}" for n, m in networks.items() for k, _ in m.named_modules() if k]
            first = next(iter(lora.targets), "")
            raise ConfigError(
                f"engine.lora.targets={list(lora.targets)} matches no linear layer or convolution."
                + did_you_mean(first, names)
            )

    def merge(self, trainer: Trainer) -> None:
        """Merge adapters, if there are any, into the weights."""
        if self.config.engine.lora is not None:
            for network in trainer.networks().values():
                merge_adapters(network)

    def _run_facts(
        self, data: SampleStore | DatasetFacts, steps: int | None, training: bool
    ) -> RunFacts:
        config = self.config.engine
        samples = data.count if isinstance(data, DatasetFacts) else len(data)
        epochs = math.ceil((config.epochs or 0) * samples / config.batch_size)
        return RunFacts(
            total_steps=steps or config.steps or max(1, epochs),
            batch_size=config.batch_size,
            accumulate=config.accumulate,
            samples=samples,
            training=training,
        )

    def _with_column(self, column: str) -> str:
        """Say which datasets may have a column."""
        found = [
            spec.name
            for spec in self.host.datasets.values()
            if column in spec.columns and spec.modality == self.modality.name
        ]
        return f" Datasets that can have one: {', '.join(found)}." if found else ""

    def metrics(
        self, names: Sequence[str], parts: Parts, data: SampleStore | DatasetFacts
    ) -> dict[str, Metrics]:
        """Return the named metrics, or all that fit if no names are given, by output.

        Raises:
            PluginError: a metric is missing, or is for the modality of none of the outputs.
            ConfigError: a metric does not fit the samples, or no names were given and none fits.
        """
        outputs = parts.trainer.generator().outputs

        def of(column: str, some: Sequence[str]) -> Metrics:
            kind = self.modality.name if column == "samples" else data.columns[column].modality
            prefix = "" if column == outputs[0] else column
            return Metrics(self.host, kind, parts.modalities[column], some, column=prefix)

        def fits(column: str, some: Sequence[str]) -> bool:
            with contextlib.suppress(UserError):
                return bool(of(column, some))
            return False

        fitting = {column: [n for n in names if fits(column, [n])] for column in outputs}
        for name in names:
            if not any(name in found for found in fitting.values()):
                of(outputs[0], [name])  # says why not
        used = [c for c in outputs if (fitting[c] if names else fits(c, []))]
        return {column: of(column, fitting[column]) for column in used or outputs[:1]}

    def engine(self, store: SampleStore, budget: Budget | None = None) -> Assembly:
        """Create the networks and the engine for loaded data; see ``parts``.

        Raises:
            UserError: settings that do not fit the data, the recipe or each other.
        """
        assembly = self._engine(store, budget, None)
        total = assembly.engine.total_steps
        if total != self._run_facts(store, None, True).total_steps:
            # Epochs are converted by what the trainer's phases take in a step, and it was built
            # for another number of steps than a resumed run's would be.
            del assembly
            assembly = self._engine(store, budget, total)
        return assembly

    def _engine(self, store: SampleStore, budget: Budget | None, steps: int | None) -> Assembly:
        parts = self.parts(store, budget, steps=steps, training=True)
        trainer = parts.trainer
        self._check_model_forms(parts, store)
        self._check_outputs(parts)
        config = self.config.engine
        names = config.validation_metrics
        compare = self.metrics(names, parts, store) if names else None
        held_out = None
        if (trainer.validation() or compare) and config.validation_samples:
            held_out = self.held_out(store)
            if held_out is None and config.needs_validation is not None:
                raise ConfigError(self._lacks_held_out(config.needs_validation))
        elif config.needs_validation is not None:
            raise ConfigError(
                f"engine.{config.needs_validation} needs validation, and {self.recipe.name} "
                "measures nothing on held-out data by itself. Name metrics with "
                "engine.validation_metrics; see: aigc metrics"
            )
        engine = Engine(
            trainer,
            store.arrays,
            config,
            transform=parts.transforms,
            streams=store.streams,
            validation=held_out.store.arrays if held_out else None,
            compare=compare,
        )
        return Assembly(engine, parts.modalities, held_out)

    def _check_outputs(self, parts: Parts) -> None:
        """Check that a generator makes columns that the data has.

        Raises:
            PluginError: one is not there, or has no modality.
        """
        for column in parts.trainer.generator().outputs:
            if column not in parts.modalities:
                raise PluginError(
                    f"The recipe '{self.recipe.name}' declares the output '{column}', which is no "
                    f"column of the data with a modality.{did_you_mean(column, parts.modalities)}"
                )

    def _lacks_held_out(self, setting: str) -> str:
        empty = [name for name in self.dataset.splits if name in ("validation", "test")]
        lacking = (
            f"an empty split '{empty[0]}', as it was configured."
            if empty
            else "no split 'validation' or 'test'. Choose another with --dataset."
        )
        name = self.dataset.name
        return f"engine.{setting} needs held-out data, and the dataset '{name}' has {lacking}"

    def _check_model_forms(self, parts: Parts, store: SampleStore) -> None:
        """Check, before the first step, that each ``to_model`` gives what its modality declares.

        Raises:
            PluginError: the shape or type differs; a loss that broadcasts might silently train on
                it.
        """
        names = {"samples": self.modality.name}
        names |= {column: found.modality for column, found in store.columns.items()}
        for column, modality in {"samples": parts.modality, **parts.columns}.items():
            few = store.arrays[column][:2]
            found = modality.to_model(few)
            expected = (len(few), *modality.sample_shape)
            if tuple(found.shape) == expected and found.dtype == modality.sample_dtype:
                continue
            owner = self.host.owner("modality", names[column])
            raise PluginError(
                f"The modality '{names[column]}' of the plugin '{owner}' gives networks "
                f"{found.dtype} of the shape {tuple(found.shape)}, and declares "
                f"{modality.sample_dtype} of {expected}. Correct its to_model, sample_shape or "
                f"sample_dtype; see: aigc plugins check {owner}"
            )


def _expect(found: object, kind: type, reference: str, owner: str) -> None:
    if not isinstance(found, kind):
        raise PluginError(
            f"The plugin '{owner}' names {reference}, which gave a {type(found).__name__}, "
            f"not a {kind.__name__}."
        )

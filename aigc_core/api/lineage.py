"""What a run is made from: networks of other runs, of which it keeps a copy of its own.

Below ``parents/<name>`` a run holds each parent as a run again: its settings, the facts of its
data, and the weights of one checkpoint, but no optimiser. So a parent is opened as any run is, and
parents may have parents. ``initial.safetensors`` holds the weights that training started from.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from pydantic import ValidationError
from torch import Tensor

from aigc_core.api.blueprint import Blueprint, Lineage, Parts
from aigc_core.api.fitting import budget_for, check_header
from aigc_core.api.initial import InitialWeights
from aigc_core.api.provenance import require_plugins
from aigc_core.api.unchanged import RECORD
from aigc_core.config import Layer, RunConfig, resolve_config
from aigc_core.config.schema import InitialRef, ParentRef
from aigc_core.engine import load_weights, renaming, saved_modules, saved_state
from aigc_core.errors import ConfigError, RunError, did_you_mean
from aigc_core.interfaces import Discriminator, Generator
from aigc_core.interfaces.recipe import Parent
from aigc_core.plugins import PluginHost, RecipeSpec, get_host
from aigc_core.runs import DatasetFacts, Run, choose_checkpoint, open_run
from aigc_core.runs.checkpoint import WEIGHTS, Checkpoint, open_weights
from aigc_core.runs.folder import CONFIG, DATASET, ENVIRONMENT
from aigc_core.runs.inside import is_real_file, is_real_folder, read_file
from aigc_core.runs.manifest import (
    MANIFEST,
    checkpoint_folder,
    checkpoint_steps,
    describe_files,
)
from aigc_core.runs.outcome import SCALARS
from aigc_core.runs.tensors import MAX_HEADER_BYTES, Header, read_header, total_bytes
from aigc_core.strict_yaml import dump_yaml

logger = logging.getLogger("aigc")
Given = Run | str | Path
"""A run, its path, or ``PATH@best`` and ``PATH@STEP`` for one of its checkpoints."""
PARENTS, INITIAL = "parents", "initial.safetensors"
_CPU = torch.device("cpu")


class Trained(NamedTuple):
    """A run's networks with the weights of a checkpoint, in evaluation mode."""

    parts: Parts
    generator: Generator
    """With averaged weights, if there are any."""
    checkpoint: Checkpoint
    left_out: frozenset[str] = frozenset()
    """Discriminators that the checkpoint is without, as those of imported runs are: random."""


def blueprint_of(run: Run, layers: Sequence[Layer] = ()) -> Blueprint:
    """Resolve a run's configuration, with what it keeps of other runs.

    Raises:
        PluginError: a plugin that the run needs is not there.
        RunError: what the run keeps is missing or was changed.
    """
    host = get_host()
    require_plugins(host, run)
    resolved = resolve_config(host, run.recipe, layers=[run.layer, *layers]).config
    config = resolved.model_copy(update=references(run))
    return Blueprint.of(host, config, lineage_of(run, config))


def references(run: Run) -> dict[str, Any]:
    """Return what a run's configuration says of other runs: ``parents`` and ``initial``.

    Raises:
        RunError: it is not valid.
    """
    parents, initial = run.config.get("parents") or {}, run.config.get("initial")
    try:
        for name in parents:
            if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):  # it becomes a folder's name
                raise ValueError(name)
        return {
            "parents": {name: ParentRef.model_validate(v) for name, v in dict(parents).items()},
            "initial": None if initial is None else InitialRef.model_validate(initial),
        }
    except (ValidationError, TypeError, ValueError):
        raise RunError(f"{run.path / CONFIG} is damaged, at 'parents' or 'initial'.") from None


def load_trained(
    run: Run,
    blueprint: Blueprint,
    device: torch.device,
    checkpoint: str | int | None = None,
) -> Trained:
    """Build a run's networks and load the weights of a checkpoint, after checking that they fit.

    Raises:
        RunError: there is no such intact checkpoint, or it does not fit.
    """
    wanted = choose_checkpoint(run.checkpoints, checkpoint)
    found = open_weights(run.checkpoints, logger.warning, wanted)
    parts = blueprint.parts(run.dataset, budget_for(whole_header(run, blueprint.config, found)))
    trainer, modules = parts.trainer, saved_modules(parts.trainer)
    generator = trainer.generator()
    own = {f"{n}.{k}": v for n, m in modules.items() for k, v in saved_state(m).items()}
    found.rename = renaming(modules)
    header = found.header()
    if any(name.startswith("ema.") for name in header):
        own |= {f"ema.{key}": value for key, value in saved_state(generator).items()}
    left_out = _left_out(modules, header)
    own = {name: value for name, value in own.items() if name.partition(".")[0] not in left_out}
    check_header(header, own, found.path)
    weights = found.weights
    _warn_of_nan(run, found, weights)
    averaged = {n: w for n, w in weights.items() if n.startswith("ema.")}
    there = {name: module for name, module in modules.items() if name not in left_out}
    load_weights(there, {n: w for n, w in weights.items() if n not in averaged})
    if averaged:
        load_weights({"ema": generator}, averaged)
    blueprint.merge(trainer)
    for module in (*modules.values(), generator):
        module.to(device).eval().requires_grad_(False)  # once, so that threads may share it
    return Trained(parts, generator, found, left_out)


def _left_out(modules: Mapping[str, torch.nn.Module], header: Header) -> frozenset[str]:
    """Return the names of discriminators of which a checkpoint has no weight."""
    there = {name.partition(".")[0] for name in header}
    judges = {name for name, module in modules.items() if isinstance(module, Discriminator)}
    return frozenset(judges - there)


def whole_header(run: Run, config: RunConfig, found: Checkpoint) -> Header:
    """Return a header of all that networks can need: a checkpoint may leave frozen weights out."""
    if config.initial is None:
        return found.header()
    return {**_header(run.path / INITIAL), **found.header()}


def _header(path: Path) -> Header:
    try:
        return read_header(path)
    except FileNotFoundError:
        raise RunError(f"{path} is gone, and the run needs it.") from None
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error}).") from None


def _warn_of_nan(run: Run, found: Checkpoint, weights: Mapping[str, Tensor]) -> None:
    lost = not_a_number(weights)
    if lost is not None:
        logger.warning(
            "The weights of %s are not finite, such as '%s': what is drawn from them means "
            "nothing. %s",
            found.path,
            lost,
            _others(run, found.step),
        )


def _others(run: Run, step: int) -> str:
    """Say which other checkpoints are usable."""
    fine = []
    for other in checkpoint_steps(run.checkpoints):
        with contextlib.suppress(RunError):  # it is damaged
            if other != step:
                found = open_weights(run.checkpoints, lambda message: None, other)
                if not_a_number(found.weights) is None:
                    fine.append(str(other))
    if not fine:
        return "No other checkpoint of the run is finite."
    return f"Choose one that is finite with --checkpoint: {', '.join(fine)}."


def not_a_number(weights: Mapping[str, Tensor]) -> str | None:
    """Return the first weight with a NaN, or None; infinities may be intended, as in masks."""
    for name, tensor in weights.items():
        if tensor.is_floating_point() and bool(torch.isnan(tensor).any()):
            return name
    return None


# What a run keeps


def lineage_of(run: Run, config: RunConfig) -> Lineage:
    """Open what a run keeps of other runs, if it is unchanged.

    Raises:
        RunError: something is missing or was changed.
        PluginError: a plugin that a parent needs is not there.
    """
    parents = {}
    for name, reference in config.parents.items():
        folder = run.path / PARENTS / name
        is_real_folder(run.path / PARENTS)
        if not is_real_folder(folder):
            raise RunError(f"{folder} is gone: the run cannot be used without its '{name}'.")
        kept = Run(folder)
        if _digest(kept, reference.step) != reference.sha256:
            raise RunError(
                f"{folder} is not what it was when the run began: put it back, or start a new run."
            )
        parents[name] = _parent(kept, reference.step)
    initial = None
    if config.initial is not None:
        path = run.path / INITIAL
        data = read_file(path, total_bytes(_header(path)) + MAX_HEADER_BYTES + 8)
        if hashlib.sha256(data).hexdigest() != config.initial.sha256:
            raise RunError(f"{path} is not what the run began with: put it back.")
        initial = InitialWeights(safetensors.torch.load(data), str(path), kept=True)
    return Lineage(parents, initial)


def _digest(run: Run, step: int) -> str:
    """Return a digest of a kept parent's settings, data facts, and weights (by their manifest)."""
    contents = []
    for path in (run.path / name for name in _essentials(Source(run, step))):
        try:
            contents.append(read_file(path))
        except FileNotFoundError:
            raise RunError(f"{path} is gone, and the run needs it.") from None
    return _digest_of(contents)


def _digest_of(contents: Sequence[bytes]) -> str:
    found = hashlib.sha256()
    for data in contents:
        found.update(hashlib.sha256(data).digest())
    return found.hexdigest()


def _parent(run: Run, step: int) -> Parent:
    blueprint = blueprint_of(run)
    loaded = load_trained(run, blueprint, _CPU, step)
    return Parent(
        recipe=run.recipe,
        networks=dict(loaded.parts.trainer.networks()),
        generator=loaded.generator,
        model=blueprint.config.model,
        modality=loaded.parts.modality,
        label_names=run.dataset.label_names,
    )


# What a new run is given


class Source(NamedTuple):
    """A run that is given, and the checkpoint to take."""

    run: Run
    step: int


def find_source(given: Given) -> Source:
    """Find the run and checkpoint that ``RUN``, ``RUN@best`` or ``RUN@STEP`` name.

    Raises:
        RunError: there is no such run, or it has no such checkpoint.
    """
    checkpoint: str | int | None = None
    if isinstance(given, Run):
        run = given
    else:
        text = os.fspath(given)
        match = re.search(r"@(best|[0-9]{1,10})$", text)
        if match is not None and not Path(os.path.expanduser(text)).exists():
            text = text[: match.start()]
            checkpoint = match[1] if match[1] == "best" else int(match[1])
        run = open_run(text)
    wanted = choose_checkpoint(run.checkpoints, checkpoint)
    return Source(run, open_weights(run.checkpoints, logger.warning, wanted).step)


class Origins(NamedTuple):
    """What a new run is made from, loaded, and what will be kept of it."""

    lineage: Lineage
    sources: Mapping[str, Source]
    initial_from: InitialRef | None

    @classmethod
    def open(
        cls,
        host: PluginHost,
        recipe: RecipeSpec,
        parents: Mapping[str, Given],
        init_from: Given | None,
        *,
        strict: bool,
    ) -> Origins:
        """Load what is given for a new run.

        Raises:
            ConfigError: a parent that the recipe does not know or that is missing, or of a recipe
                that cannot be one.
            RunError: a run or checkpoint that is not there.
        """
        _check_names(recipe, parents)
        sources = {name: find_source(given) for name, given in parents.items()}
        for name, source in sources.items():
            fitting = recipe.parents[name].recipes
            if source.run.recipe not in fitting:
                raise ConfigError(
                    f"{recipe.name} needs a run of {' or '.join(fitting)} as its '{name}', and "
                    f"{source.run.path} is of {source.run.recipe}."
                )
        loaded = {name: _parent(source.run, source.step) for name, source in sources.items()}
        if init_from is None:
            if strict:
                raise ConfigError("--strict-init goes with --init-from.")
            return cls(Lineage(loaded, None), sources, None)
        weights, reference, facts = _initial(init_from)
        initial = InitialWeights(weights, reference.source, strict=strict, facts=facts)
        return cls(Lineage(loaded, initial), sources, reference)

    def config(self, config: RunConfig, kept: Mapping[str, bytes]) -> RunConfig:
        """Return a configuration that says where everything is from."""
        parents = {
            name: ParentRef(
                recipe=source.run.recipe,
                run=str(source.run.path),
                step=source.step,
                sha256=_digest_of(
                    [kept[f"{PARENTS}/{name}/{path}"] for path in _essentials(source)]
                ),
            )
            for name, source in self.sources.items()
        }
        initial = self.initial_from
        if initial is not None:
            digest = hashlib.sha256(kept[INITIAL]).hexdigest()
            initial = initial.model_copy(update={"sha256": digest})
        return config.model_copy(update={"parents": parents, "initial": initial})

    def files(self) -> dict[str, bytes]:
        """Return what a new run has to keep, by path below it; its networks are built by now.

        Raises:
            RunError: a file of a parent cannot be read.
        """
        found: dict[str, bytes] = {}
        for name, source in self.sources.items():
            found |= {f"{PARENTS}/{name}/{p}": d for p, d in _files_of(source).items()}
        if self.lineage.initial is not None:
            found[INITIAL] = safetensors.torch.save(self.lineage.initial.applied)
        return found


def _essentials(source: Source) -> tuple[str, str, str]:
    """Return the paths, below a run, of what says which run it is: see ``_digest``."""
    folder = checkpoint_folder(source.run.checkpoints, source.step)
    return CONFIG, DATASET, (folder / MANIFEST).relative_to(source.run.path).as_posix()


def _files_of(source: Source) -> dict[str, bytes]:
    """Read the files by which a run can be a parent: no optimiser, metrics or previews.

    Nor what would undo a private training: its seed, and the command that may hold it.
    """
    run, checkpoint = source.run, checkpoint_folder(source.run.checkpoints, source.step)
    weights = checkpoint / WEIGHTS
    paths = [run.path / name for name in (CONFIG, DATASET, ENVIRONMENT)]
    paths += [checkpoint / name for name in (MANIFEST, SCALARS)]
    limits = {weights: total_bytes(_header(weights)) + MAX_HEADER_BYTES + 8}
    paths.append(weights)
    if is_real_file(run.path / INITIAL):
        initial = run.path / INITIAL
        limits[initial] = total_bytes(_header(initial)) + MAX_HEADER_BYTES + 8
        paths.append(initial)
    found = {}
    for path in paths:
        with contextlib.suppress(FileNotFoundError):  # environment.json is not needed
            data = read_file(path, limits[path]) if path in limits else read_file(path)
            found[path.relative_to(run.path).as_posix()] = data
    if (run.config.get("trainer") or {}).get("privacy") is not None:
        _remove_seed(found, run.config, checkpoint.relative_to(run.path).as_posix())
    for name, reference in references(run)["parents"].items():
        inner = Source(Run(run.path / PARENTS / name), reference.step)
        found |= {f"{PARENTS}/{name}/{p}": d for p, d in _files_of(inner).items()}
    return found


def _remove_seed(files: dict[str, bytes], config: Mapping[str, Any], checkpoint: str) -> None:
    """Take a run's seed out of its files, by path, and what may hold it: records of settings."""
    files.pop(ENVIRONMENT, None)
    engine = {name: value for name, value in config["engine"].items() if name != "seed"}
    files[CONFIG] = dump_yaml({**config, "engine": engine}).encode()
    scalars = json.loads(files[f"{checkpoint}/{SCALARS}"])
    scalars.pop(RECORD, None)
    kept = {SCALARS: json.dumps(scalars).encode(), WEIGHTS: files[f"{checkpoint}/{WEIGHTS}"]}
    kept[MANIFEST] = describe_files(kept).encode()
    files |= {f"{checkpoint}/{name}": data for name, data in kept.items()}


def _check_names(recipe: RecipeSpec, given: Mapping[str, Given]) -> None:
    for name in given:
        if name not in recipe.parents:
            hint = did_you_mean(name, recipe.parents) if recipe.parents else ""
            raise ConfigError(f"{recipe.name} has no parent '{name}'.{hint}")
    for name, spec in recipe.parents.items():
        if spec.required and name not in given:
            raise ConfigError(
                f"{recipe.name} needs a trained run of {' or '.join(spec.recipes)} as its "
                f"'{name}' ({spec.summary}). Train one: aigc train {spec.recipes[0]}; then give it "
                f"with: --parent {name}=RUN"
            )


def _initial(given: Given) -> tuple[dict[str, Tensor], InitialRef, DatasetFacts | None]:
    """Read the weights that ``--init-from`` names: a run's, with facts of its data, or a file's."""
    if not isinstance(given, Run) and str(given).endswith(".safetensors"):
        path = Path(os.path.expanduser(given))
        try:
            header = read_header(path)
            data = read_file(path, total_bytes(header) + MAX_HEADER_BYTES + 8)
        except FileNotFoundError:
            raise ConfigError(f"There is no file {path}.") from None
        except ValueError as error:
            raise ConfigError(f"{path} is no usable safetensors file ({error}).") from None
        digest = hashlib.sha256(data).hexdigest()
        return safetensors.torch.load(data), InitialRef(source=str(path), sha256=digest), None
    source = find_source(given)
    loaded = load_trained(source.run, blueprint_of(source.run), _CPU, source.step)
    networks = loaded.parts.trainer.networks()  # the generator's weights are the averaged ones
    weights = {
        f"{n}.{k}": v
        for n, found in networks.items()
        if n not in loaded.left_out
        for k, v in found.state_dict().items()
    }
    reference = InitialRef(source=str(source.run.path), step=source.step, sha256="")
    return weights, reference, source.run.dataset

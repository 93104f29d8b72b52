"""A run's generator with the weights of a checkpoint, and what can be asked of it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from aigc_core.api.build import (
    Parts,
    build_parts,
    load_data,
    load_held_out,
    require_plugins,
    run_layer,
)
from aigc_core.api.fitting import budget_for, check_header
from aigc_core.api.unchanged import read_record, sampling_changes
from aigc_core.config import Layer, resolve_config
from aigc_core.config.explain import Section, explain
from aigc_core.engine import (
    choose_device,
    derive_seed,
    draw_samples,
    evaluation_mode,
    interpolate_latents,
    load_weights,
)
from aigc_core.errors import ConfigError, did_you_mean
from aigc_core.interfaces import (
    AutoregressiveGenerator,
    LatentGenerator,
    Readable,
    Reconstructs,
    SamplingConfig,
)
from aigc_core.plugins import get_host
from aigc_core.runs import Run, choose_checkpoint, open_run
from aigc_core.runs.checkpoint import Checkpoint, open_weights
from aigc_core.runs.manifest import checkpoint_steps
from aigc_core.runs.record import listed

logger = logging.getLogger("aigc")
MAX_COUNT = 1_000_000


class Sampler:
    """Draws from a run. What it yields are stored samples ``(n, *spec.shape)`` on the CPU."""

    def __init__(
        self,
        run: Run | str | Path,
        device: str,
        checkpoint: str | int | None = None,
        data_root: str | None = None,
    ) -> None:
        """Load the newest whole checkpoint of a run, or ``best``, or that of a step.

        Raises:
            UserError: the run cannot be sampled, or has no such checkpoint.
        """
        self.run = run if isinstance(run, Run) else open_run(run)
        self.device = choose_device(device)
        self._host = get_host()
        require_plugins(self._host, self.run)
        layers = [run_layer(self.run)]
        if data_root is not None:
            layers.append(Layer("data_root", {"dataset": {"root": data_root}}))
        self.config = resolve_config(self._host, self.run.recipe, layers=layers).config
        self.facts = self.run.dataset
        self.spec = self.facts.spec
        labels = len(self.facts.label_names)
        wanted = choose_checkpoint(self.run.checkpoints, checkpoint)
        found = open_weights(self.run.checkpoints, logger.warning, wanted)
        budget = budget_for(found.header())
        self.parts: Parts = build_parts(self._host, self.config, self.spec, labels, budget)
        self.step, weights = found.step, self._weights(found)
        self._warn_of_changes(found)
        averaged = {n: w for n, w in weights.items() if n.startswith("ema.")}
        networks = dict(self.parts.trainer.networks())
        load_weights(networks, {n: w for n, w in weights.items() if n not in averaged})
        self.generator = self.parts.trainer.generator()
        if averaged:
            load_weights({"ema": self.generator}, averaged)
        for network in networks.values():
            network.to(self.device)

    def _weights(self, checkpoint: Checkpoint) -> dict[str, Tensor]:
        """Read weights that are known to fit before they take any memory."""
        trainer = self.parts.trainer
        own = {
            f"{name}.{key}": value
            for name, network in trainer.networks().items()
            for key, value in network.state_dict().items()
        }
        header = checkpoint.header()
        if any(name.startswith("ema.") for name in header):
            own |= {f"ema.{k}": v for k, v in trainer.generator().state_dict().items()}
        check_header(header, own, checkpoint.path)
        weights = checkpoint.weights
        lost = [
            name
            for name, tensor in weights.items()
            if tensor.is_floating_point() and bool(torch.isnan(tensor).any())
        ]
        if lost:
            logger.warning(
                "The weights of %s are not finite, such as '%s': what is drawn from them means "
                "nothing. Choose another one with --checkpoint; there are: %s.",
                checkpoint.path,
                lost[0],
                ", ".join(map(str, checkpoint_steps(self.run.checkpoints))),
            )
        return weights

    def _warn_of_changes(self, checkpoint: Checkpoint) -> None:
        record = read_record(checkpoint.scalars, self.run)
        changes = sampling_changes(self.run, record) if record is not None else []
        if changes:
            logger.warning(
                "%s was changed since its checkpoint was written, and samples depend on it: %s.",
                self.run.path,
                listed(changes),
            )

    def label_of(self, name: str) -> int:
        """Return the class that a name, or else a number, stands for.

        Raises:
            ConfigError: there is no such class, or the run is unconditional.
        """
        names = self.facts.label_names
        if not self.generator.label_count:
            raise ConfigError(
                f"{self.run.path} is unconditional, so it cannot be asked for '{name}'. Where the "
                "recipe has the setting, train with: --set model.conditional=true"
            )
        if name in names:
            number = names.index(name)
            if name.isdecimal() and int(name) < len(names) and int(name) != number:
                logger.warning(
                    "'%s' is taken for the name of a class; class number %s is '%s'.",
                    name,
                    name,
                    names[int(name)],
                )
            return number
        if name.isdecimal() and int(name) < len(names):
            return int(name)
        raise ConfigError(f"There is no class '{name}'.{did_you_mean(name, names)}")

    def controls(
        self, prompt: str | None, tokens: int | None, sampling: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """Return the generator's sampling options for what a user asked.

        Raises:
            ConfigError: the generator takes none, or one that is not valid.
        """
        if prompt is None and tokens is None and not sampling:
            return {}
        if not isinstance(self.generator, AutoregressiveGenerator):
            raise ConfigError(
                f"{self.run.recipe} makes a sample at once: it takes no prompt, number of tokens "
                "or sampling options."
            )
        controls: dict[str, Any] = {"sampling": read_sampling(sampling or {})}
        if tokens is not None:
            if not 1 <= tokens <= MAX_COUNT:
                raise ConfigError(f"tokens={tokens} is not valid: from 1 to {MAX_COUNT:,}.")
            controls["length"] = tokens
        if prompt:
            if not isinstance(self.parts.modality, Readable):
                raise ConfigError(f"{self.run.recipe} makes no text, so it takes no prompt.")
            controls["prompt"] = self.parts.modality.encode(prompt)
        return controls

    def draw(
        self,
        count: int,
        seed: int,
        label: str | None = None,
        controls: Mapping[str, Any] | None = None,
    ) -> Iterator[Tensor]:
        """Yield ``count`` samples, chunk by chunk; of one class, or else of each in turn."""
        check_count(count, seed)
        labels = None if label is None else torch.full((count,), self.label_of(label))
        chunks = draw_samples(
            self.generator,
            count,
            seed=seed,
            device=self.device,
            labels=labels,
            controls=controls,
        )
        for samples in chunks:
            yield self.parts.modality.to_stored(samples).cpu()

    def interpolate(self, count: int, seed: int, label: str | None = None) -> Iterator[Tensor]:
        """Yield samples on the way from one latent to another.

        Raises:
            ConfigError: the generator has no latents, or ``count`` is below 2.
        """
        check_count(count, seed)
        generator = self.generator
        if not isinstance(generator, LatentGenerator):
            raise ConfigError(f"{self.run.recipe} has no latents to interpolate between.")
        if count < 2:
            raise ConfigError("An interpolation needs at least its two ends: --count 2.")
        rng = torch.Generator(self.device).manual_seed(derive_seed(seed, "interpolation"))
        ends = generator.sample_latents(2, rng=rng)  # (2, *latent_shape)
        latents = interpolate_latents(ends[0], ends[1], count)
        condition = None
        if generator.label_count:
            wanted = self.label_of(label) if label is not None else 0
            condition = torch.full((count,), wanted, device=self.device)
        elif label is not None:
            self.label_of(label)
        with torch.no_grad(), evaluation_mode(generator):
            for start in range(0, count, generator.sample_chunk):
                part = slice(start, start + generator.sample_chunk)
                labels = None if condition is None else condition[part]
                samples = generator.restore(generator(latents[part], labels))
                yield self.parts.modality.to_stored(samples).cpu()

    def reconstruct(self, count: int, seed: int) -> Iterator[Tensor]:
        """Yield pairs: a held-out sample of the data, and how the networks give it back.

        Raises:
            ConfigError: the recipe does not reconstruct, or the data has fewer samples.
            DataError: the data is not there.
        """
        check_count(count, seed)
        trainer = self.parts.trainer
        if not isinstance(trainer, Reconstructs):
            raise ConfigError(f"{self.run.recipe} does not reconstruct samples.")
        names = self.facts.label_names
        held_out = load_held_out(self._host, self.config, self.spec, names)
        arrays = (held_out.store if held_out else load_data(self._host, self.config)).arrays
        if count > len(arrays["samples"]):
            raise ConfigError(f"The data has {len(arrays['samples']):,} samples, not {count:,}.")
        rng = torch.Generator().manual_seed(derive_seed(seed, "reconstruction"))
        chosen = torch.randperm(len(arrays["samples"]), generator=rng)[:count]
        to_model, to_stored = self.parts.modality.to_model, self.parts.modality.to_stored
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            for network in trainer.networks().values():
                stack.enter_context(evaluation_mode(network))
            for indices in torch.split(chosen, self.generator.sample_chunk):
                stored = arrays["samples"][indices]
                labels = None
                if self.generator.label_count:
                    labels = arrays["labels"][indices].to(self.device)
                again = trainer.reconstruct(to_model(stored.to(self.device)), labels)
                pairs = torch.stack([stored, to_stored(again).cpu()], dim=1)  # (n, 2, *shape)
                yield pairs.flatten(0, 1)  # -> (2 n, *shape)


def read_sampling(values: Mapping[str, Any]) -> SamplingConfig:
    """Validate sampling options; raise ``ConfigError`` that names what is wrong."""
    section = Section("sampling", SamplingConfig, "sampling")
    try:
        return SamplingConfig.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError(explain(section, error, values, {}, [section])) from None


def check_count(count: int, seed: int) -> None:
    """Raise ``ConfigError`` for a number of samples or a seed that is not valid."""
    if not 1 <= count <= MAX_COUNT:
        raise ConfigError(f"count={count} is not valid: it must be from 1 to {MAX_COUNT:,}.")
    if not 0 <= seed < 2**63:
        raise ConfigError(f"seed={seed} is not valid: it must be from 0 to 2**63 - 1.")

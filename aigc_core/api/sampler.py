"""A run's generator with the weights of a checkpoint, and the requests it can answer."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

import torch
from pydantic import ValidationError
from torch import Tensor

from aigc_core.api.blueprint import Blueprint
from aigc_core.api.fitting import budget_for, check_header
from aigc_core.api.provenance import require_plugins
from aigc_core.api.unchanged import read_record, sampling_changes
from aigc_core.config import Layer, given_settings, resolve_config
from aigc_core.config.explain import Section, explain
from aigc_core.config.layers import nest
from aigc_core.engine import (
    choose_device,
    derive_seed,
    draw_samples,
    evaluation_mode,
    interpolate_latents,
    load_weights,
    renaming,
)
from aigc_core.errors import ConfigError, RunError, did_you_mean
from aigc_core.interfaces import (
    AutoregressiveGenerator,
    LatentGenerator,
    Reconstructs,
    SamplingConfig,
    TextCodec,
)
from aigc_core.plugins import get_host
from aigc_core.runs import Run, choose_checkpoint, open_run
from aigc_core.runs.checkpoint import Checkpoint, open_weights
from aigc_core.runs.manifest import checkpoint_steps
from aigc_core.runs.record import listed

logger = logging.getLogger("aigc")
MAX_COUNT = 1_000_000
Kind = Literal["samples", "interpolation", "reconstructions"]
_UNFINISHED = "\ufffd"  # what half a character decodes to


class RequestOptions(TypedDict, total=False):
    """The fields of a ``Request``, as keywords."""

    count: int
    seed: int
    label: str | int | None
    prompt: str | None
    tokens: int | None
    sampling: Mapping[str, Any] | None


@dataclass(frozen=True)
class Request:
    """What to draw from a run. The same request gives the same samples on the same device."""

    count: int = 16
    """Number of samples, 1 to 1,000,000; when drawing, sample *i* does not depend on it."""
    seed: int = 0
    """At least 0."""
    label: str | int | None = None
    """Name or number of a class, for a conditional run. None for each class in turn; for class 0
    in interpolations and streamed text."""
    prompt: str | None = None
    """For text: what comes before the sample and is not part of it."""
    tokens: int | None = None
    """For sequences: number of tokens in a sample."""
    sampling: Mapping[str, Any] | None = None
    """For sequences: settings such as ``{"temperature": 0.8}``; see ``SamplingConfig``."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ConfigError: one is not valid.
        """
        if not 1 <= self.count <= MAX_COUNT:
            raise ConfigError(
                f"count={self.count} is not valid: it must be from 1 to {MAX_COUNT:,}."
            )
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed={self.seed} is not valid: it must be from 0 to 2**63 - 1.")
        if self.tokens is not None and not 1 <= self.tokens <= MAX_COUNT:
            raise ConfigError(f"tokens={self.tokens} is not valid: from 1 to {MAX_COUNT:,}.")


def open_sampler(
    run: Run | str | Path,
    *,
    checkpoint: str | int | None = None,
    overrides: Mapping[str, Any] | None = None,
    data_root: str | Path | None = None,
    device: str = "auto",
) -> Sampler:
    """Load a run's generator once, in order to draw samples from it many times.

    Args:
        run: a run or the path of one.
        checkpoint: ``"best"`` or the step of a kept checkpoint; None for the newest.
        overrides: settings by dotted key that replace the run's own, such as dataset options when
            data is read.
        data_root: where the data is now, if it was moved; only reconstructions read data.
        device: as for training.

    Raises:
        RunError: not a run, or it has no such intact checkpoint.
        ConfigError: an invalid device or setting.
    """
    settings = given_settings(overrides, data_root=data_root)
    opened = run if isinstance(run, Run) else open_run(run)
    host = get_host()
    require_plugins(host, opened)
    layers = [opened.layer, Layer("given settings", nest(settings))]
    blueprint = Blueprint.of(host, resolve_config(host, opened.recipe, layers=layers).config)
    return Sampler(opened, blueprint, choose_device(device), checkpoint)


class Sampler:
    """Answers requests. Samples are in the stored form, ``(n, *spec.shape)`` on the CPU."""

    def __init__(
        self,
        run: Run,
        blueprint: Blueprint,
        device: torch.device,
        checkpoint: str | int | None = None,
    ) -> None:
        """Load weights; see ``open_sampler``."""
        self.run, self.blueprint, self.device = run, blueprint, device
        self.facts = run.dataset
        self.spec = self.facts.spec
        wanted = choose_checkpoint(run.checkpoints, checkpoint)
        found = open_weights(run.checkpoints, logger.warning, wanted)
        budget = budget_for(found.header())
        labels = len(self.facts.label_names)
        self.modality, self.trainer = blueprint.parts(self.spec, labels, budget)
        self.step, weights = found.step, self._weights(found)
        self._warn_of_changes(found)
        averaged = {n: w for n, w in weights.items() if n.startswith("ema.")}
        networks = dict(self.trainer.networks())
        load_weights(networks, {n: w for n, w in weights.items() if n not in averaged})
        self.generator = self.trainer.generator()
        if averaged:
            load_weights({"ema": self.generator}, averaged)
        for network in networks.values():
            network.to(device)

    def _weights(self, checkpoint: Checkpoint) -> dict[str, Tensor]:
        """Read the weights, after checking that they fit before they take up memory."""
        trainer = self.trainer
        own = {
            f"{name}.{key}": value
            for name, network in trainer.networks().items()
            for key, value in network.state_dict().items()
        }
        checkpoint.rename = renaming(trainer.networks())
        header = checkpoint.header()
        if any(name.startswith("ema.") for name in header):
            own |= {f"ema.{k}": v for k, v in trainer.generator().state_dict().items()}
        check_header(header, own, checkpoint.path)
        weights = checkpoint.weights
        lost = _not_a_number(weights)
        if lost is not None:
            logger.warning(
                "The weights of %s are not finite, such as '%s': what is drawn from them means "
                "nothing. %s",
                checkpoint.path,
                lost,
                self._others(checkpoint.step),
            )
        return weights

    def _others(self, step: int) -> str:
        """Say which other checkpoints are usable."""
        fine = []
        for other in checkpoint_steps(self.run.checkpoints):
            with contextlib.suppress(RunError):  # it is damaged
                if other != step:
                    found = open_weights(self.run.checkpoints, lambda message: None, other)
                    if _not_a_number(found.weights) is None:
                        fine.append(str(other))
        if not fine:
            return "No other checkpoint of the run is finite."
        return f"Choose one that is finite with --checkpoint: {', '.join(fine)}."

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
        """Return the index of the class with this name or, failing that, this number.

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

    def _controls(self, request: Request) -> dict[str, Any]:
        """Return the generator's sampling options for a request.

        Raises:
            ConfigError: the generator takes no options, or one of them is invalid.
        """
        if request.prompt is None and request.tokens is None and not request.sampling:
            return {}
        if not isinstance(self.generator, AutoregressiveGenerator):
            raise ConfigError(
                f"{self.run.recipe} makes a sample at once: it takes no prompt, number of tokens "
                "or sampling options."
            )
        controls: dict[str, Any] = {"sampling": read_sampling(request.sampling or {})}
        if request.tokens is not None:
            controls["length"] = request.tokens
        if request.prompt:
            controls["prompt"] = self._codec().encode(request.prompt)
        return controls

    def _codec(self) -> TextCodec:
        if not isinstance(self.modality, TextCodec):
            raise ConfigError(f"{self.run.recipe} makes no text, so it takes no prompt.")
        return self.modality

    def draw(self, request: Request) -> Iterator[Tensor]:
        """Yield the samples of a request, chunk by chunk.

        Raises:
            ConfigError: the run cannot answer the request.
        """
        labels = None
        if request.label is not None:
            labels = torch.full((request.count,), self.label_of(str(request.label)))
        chunks = draw_samples(
            self.generator,
            request.count,
            seed=request.seed,
            device=self.device,
            labels=labels,
            controls=self._controls(request),
        )
        for samples in chunks:
            yield self.modality.to_stored(samples).cpu()

    def samples(self, request: Request) -> Tensor:
        """Return ``(count, *spec.shape)`` samples at once; see ``draw``."""
        return torch.cat(list(self.draw(request)))

    def stream_text(self, request: Request, stop: str | None = None) -> Iterator[str]:
        """Yield one text in pieces as it is drawn; the request's ``count`` is ignored.

        Args:
            request: its ``tokens`` is the length; None for the length of a sample.
            stop: end the text before the first occurrence of this string.

        Raises:
            ConfigError: the run makes no text, or cannot answer the request.
        """
        generator, codec = self.generator, self._codec()
        if not isinstance(generator, AutoregressiveGenerator):
            raise ConfigError(f"{self.run.recipe} makes no text piece by piece.")
        controls = self._controls(request)
        condition = None
        if request.label is not None or generator.label_count:
            wanted = self.label_of(str(request.label)) if request.label is not None else 0
            condition = torch.tensor([wanted], device=self.device)
        length = controls.pop("length", None) or generator.sample_length
        rng = torch.Generator(self.device).manual_seed(derive_seed(request.seed, "text"))
        generator.eval()  # the sampler owns it, so there is no mode to restore
        steps = generator.stream(1, rng=rng, condition=condition, **controls)
        unsettled: list[int] = []  # tokens that end in half a character
        held = ""  # text not yielded yet: it may be the beginning of stop
        for number in range(length):
            last = number == length - 1
            unsettled.append(int(next(steps)))
            text = held + codec.decode(torch.tensor(unsettled))
            if text.endswith(_UNFINISHED) and not last:
                continue
            unsettled = []
            if stop and stop in text:
                yield text[: text.index(stop)]
                return
            kept = 0 if last else _overlap(text, stop or "")
            held = text[len(text) - kept :]
            if kept < len(text):
                yield text[: len(text) - kept]

    def interpolate(self, request: Request) -> Iterator[Tensor]:
        """Yield samples that interpolate between two latents.

        Raises:
            ConfigError: the generator has no latents, or ``count`` is below 2.
        """
        count, label, generator = request.count, request.label, self.generator
        if not isinstance(generator, LatentGenerator):
            raise ConfigError(f"{self.run.recipe} has no latents to interpolate between.")
        if count < 2:
            raise ConfigError("An interpolation needs at least its two ends: --count 2.")
        rng = torch.Generator(self.device).manual_seed(derive_seed(request.seed, "interpolation"))
        ends = generator.sample_latents(2, rng=rng)  # (2, *latent_shape)
        latents = interpolate_latents(ends[0], ends[1], count)
        condition = None
        if generator.label_count:
            wanted = self.label_of(str(label)) if label is not None else 0
            condition = torch.full((count,), wanted, device=self.device)
        elif label is not None:
            self.label_of(str(label))
        with torch.no_grad(), evaluation_mode(generator):
            for start in range(0, count, generator.sample_chunk):
                part = slice(start, start + generator.sample_chunk)
                labels = None if condition is None else condition[part]
                samples = generator.restore(generator(latents[part], labels))
                yield self.modality.to_stored(samples).cpu()

    def reconstruct(self, request: Request) -> Iterator[Tensor]:
        """Yield samples in pairs: one from the data, then its reconstruction.

        The data is the held-out split, or the training data if there is none.

        Raises:
            ConfigError: the recipe does not reconstruct, or the data has fewer samples.
            DataError: the data cannot be loaded.
        """
        count, trainer = request.count, self.trainer
        if not isinstance(trainer, Reconstructs):
            raise ConfigError(f"{self.run.recipe} does not reconstruct samples.")
        held_out = self.blueprint.held_out(self.spec, self.facts.label_names)
        arrays = (held_out.store if held_out else self.blueprint.load()).arrays
        if count > len(arrays["samples"]):
            raise ConfigError(f"The data has {len(arrays['samples']):,} samples, not {count:,}.")
        rng = torch.Generator().manual_seed(derive_seed(request.seed, "reconstruction"))
        chosen = torch.randperm(len(arrays["samples"]), generator=rng)[:count]
        to_model, to_stored = self.modality.to_model, self.modality.to_stored
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
    """Validate sampling options; raise a ``ConfigError`` that names what is wrong."""
    section = Section("sampling", SamplingConfig, "sampling")
    try:
        return SamplingConfig.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError(explain(section, error, values, {}, [section])) from None


def _not_a_number(weights: Mapping[str, Tensor]) -> str | None:
    """Return the first weight with a NaN, or None; infinities may be intended, as in masks."""
    for name, tensor in weights.items():
        if tensor.is_floating_point() and bool(torch.isnan(tensor).any()):
            return name
    return None


def _overlap(text: str, stop: str) -> int:
    """Return how many characters at the end of ``text`` could be the beginning of ``stop``."""
    longest = min(len(stop) - 1, len(text))
    return next((size for size in range(longest, 0, -1) if text.endswith(stop[:size])), 0)

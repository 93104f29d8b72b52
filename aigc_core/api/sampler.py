"""A run's generator with the weights of a checkpoint, and the requests it can answer."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from aigc_core.api.blueprint import Blueprint
from aigc_core.api.lineage import blueprint_of, load_trained
from aigc_core.api.request import CheckedRequest, Request, RequestValidator
from aigc_core.api.text_stream import TextPiece, drawn_pieces, whole_pieces
from aigc_core.api.unchanged import read_record, sampling_changes
from aigc_core.config import Layer, given_settings
from aigc_core.config.layers import nest
from aigc_core.engine import (
    choose_device,
    derive_seed,
    draw_chunks,
    interpolate_latents,
    joined,
)
from aigc_core.errors import ConfigError, RunError
from aigc_core.interfaces import (
    AutoregressiveGenerator,
    Generator,
    LatentGenerator,
    Phase,
    Reconstructs,
    Trainer,
)
from aigc_core.runs import Run, open_run
from aigc_core.runs.checkpoint import Checkpoint
from aigc_core.runs.record import listed

logger = logging.getLogger("aigc")
Kind = Literal["samples", "interpolation", "reconstructions"]


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
    blueprint = blueprint_of(opened, [Layer("given settings", nest(settings))])
    return Sampler(opened, blueprint, choose_device(device), checkpoint)


class Sampler:
    """Answers requests. What it yields are stored samples ``(n, *spec.shape)`` on the CPU.

    Several threads may ask at once: the networks are in evaluation mode and never change.
    """

    validator: RequestValidator
    """What the run can be asked for."""

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
        loaded = load_trained(run, blueprint, device, checkpoint)
        self.parts, self.generator = loaded.parts, loaded.generator
        self.modality, self.trainer = self.parts.modality, self.parts.trainer
        self.step = loaded.checkpoint.step
        self._warn_of_changes(loaded.checkpoint)
        self.validator = RequestValidator(
            run.recipe,
            self.generator,
            self.parts.modalities,
            self.facts.label_names,
            {"samples": blueprint.modality.name}
            | {name: column.modality for name, column in self.facts.columns.items()},
        )

    def describe(self) -> dict[str, Any]:
        """Return what the run is and what it can be asked for, as JSON data."""
        run = self.run
        return {
            "run": str(run.path),
            "recipe": run.recipe,
            "dataset": run.config["dataset"]["name"],
            "modality": self.blueprint.modality.name,
            "sample": self.spec.model_dump(mode="json", exclude={"assets"}),
            "step": self.step,
            "steps": run.total_steps,
            "status": run.status,
            "ended": run.ending.message if run.ending else None,
            "best": str(run.best) if run.best else None,
            "privacy": _privacy(run),
            "parents": run.config.get("parents") or {},
            "initial": run.config.get("initial"),
            **self.validator.describe(),
        }

    def forget_training(self) -> None:
        """Let go of networks that only training needs; nothing can be reconstructed afterwards."""
        self.trainer = _Untrained(self.generator)
        self.parts = self.parts._replace(trainer=self.trainer)

    def _warn_of_changes(self, checkpoint: Checkpoint) -> None:
        record = read_record(checkpoint.scalars, self.run)
        changes = sampling_changes(self.run, record) if record is not None else []
        if changes:
            logger.warning(
                "%s was changed since its checkpoint was written, and samples depend on it: %s.",
                self.run.path,
                listed(changes),
            )

    def draw(self, request: Request) -> Iterator[Tensor]:
        """Return the samples of a request, chunk by chunk: those of the first output it wants.

        The request is checked at once, and each chunk is computed when it is taken.

        Raises:
            ConfigError: the run cannot be asked for that.
            DataError: a file that is given cannot be read.
        """
        return (next(iter(drawn.values())) for drawn in self.draw_columns(request))

    def draw_columns(self, request: Request) -> Iterator[dict[str, Tensor]]:
        """Return the samples of a request, chunk by chunk, for each output it wants.

        Row *i* of each belongs to sample *i*.

        Raises:
            ConfigError: the run cannot be asked for that.
            DataError: a file that is given cannot be read.
        """
        return self.draw_checked(self.validator.checked(request))

    def draw_checked(self, asked: CheckedRequest) -> Iterator[dict[str, Tensor]]:
        """Return the samples of a request that ``validator.checked``; see ``draw_columns``."""
        chunks = draw_chunks(
            self.generator,
            asked.count,
            seed=asked.seed,
            device=self.device,
            conditions=asked.conditions,
            controls=asked.controls,
        )
        return (self.stored(drawn, asked.wanted) for drawn in chunks)

    def stored(self, drawn: Mapping[str, Tensor], wanted: Sequence[str]) -> dict[str, Tensor]:
        """Return what was drawn of each wanted output in its stored form, on the CPU."""
        modalities = self.parts.modalities
        return {name: modalities[name].to_stored(drawn[name]).cpu() for name in wanted}

    def samples(self, request: Request) -> Tensor:
        """Return ``(count, *spec.shape)`` samples at once; see ``draw``."""
        return torch.cat(list(self.draw(request)))

    def columns(self, request: Request) -> dict[str, Tensor]:
        """Return samples of each wanted output at once; see ``draw_columns``."""
        return joined(self.draw_columns(request))

    def stream_text(self, request: Request, stop: str | None = None) -> Iterator[str]:
        """Yield one text in pieces as it is drawn; the request's ``count`` is ignored.

        Args:
            request: its ``tokens`` is the length; None for the length of a sample.
            stop: end the text before the first occurrence of this string.

        Raises:
            ConfigError: the run makes no text, or cannot answer the request.
        """
        if not isinstance(self.generator, AutoregressiveGenerator):
            self.validator.codec()  # what makes no text has no pieces either
            raise ConfigError(f"{self.run.recipe} makes no text piece by piece.")
        pieces = self.stream_texts(replace(request, count=1), [stop] if stop else [])
        return (piece.text for piece in pieces if piece.text)

    def stream_texts(self, request: Request, stops: Sequence[str] = ()) -> Iterator[TextPiece]:
        """Yield texts in pieces: as they are drawn, or each at once if the generator cannot that.

        Text *i* is sample *i* of the same request.

        Args:
            request: asks for ``count`` texts of ``tokens`` tokens, or of the length of a sample.
            stops: a text ends before the first of these that it would contain.

        Raises:
            ConfigError: the run makes no text, or cannot answer the request.
        """
        codec, asked = self.validator.codec(), self.validator.checked(request)
        if isinstance(self.generator, AutoregressiveGenerator):
            return drawn_pieces(self.generator, codec, asked, stops, self.device)
        main = self.generator.outputs[0]
        return whole_pieces(codec, (drawn[main] for drawn in self.draw_checked(asked)), stops)

    def interpolate(self, request: Request) -> Iterator[Tensor]:
        """Yield samples that interpolate between two latents.

        Raises:
            ConfigError: the generator has no latents, or ``count`` is below 2.
        """
        count, generator = request.count, self.generator
        if not isinstance(generator, LatentGenerator):
            raise ConfigError(f"{self.run.recipe} has no latents to interpolate between.")
        if count < 2:
            raise ConfigError("An interpolation needs at least its two ends: --count 2.")
        rng = torch.Generator(self.device).manual_seed(derive_seed(request.seed, "interpolation"))
        ends = generator.sample_latents(2, rng=rng)  # (2, *latent_shape)
        latents = interpolate_latents(ends[0], ends[1], count)
        label = self.validator.conditions(request).get("label")
        if generator.label_count:
            label = torch.zeros(1, dtype=torch.int64) if label is None else label
            label = label.to(self.device).expand(count)
        for start in range(0, count, generator.sample_chunk):
            part = slice(start, start + generator.sample_chunk)
            with torch.no_grad():
                drawn = generator(latents[part], None if label is None else label[part])
                samples = generator.restore(drawn)
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
        held_out = self.blueprint.held_out(self.facts)
        arrays = (held_out.store if held_out else self.blueprint.load()).arrays
        if count > len(arrays["samples"]):
            raise ConfigError(f"The data has {len(arrays['samples']):,} samples, not {count:,}.")
        rng = torch.Generator().manual_seed(derive_seed(request.seed, "reconstruction"))
        chosen = torch.randperm(len(arrays["samples"]), generator=rng)[:count]
        to_model, to_stored = self.modality.to_model, self.modality.to_stored
        for indices in torch.split(chosen, self.generator.sample_chunk):
            stored = arrays["samples"][indices]
            labels = None
            if self.generator.label_count:
                labels = arrays["labels"][indices].to(self.device)
            with torch.no_grad():
                again = trainer.reconstruct(to_model(stored.to(self.device)), labels)
            pairs = torch.stack([stored, to_stored(again).cpu()], dim=1)  # (n, 2, *shape)
            yield pairs.flatten(0, 1)  # -> (2 n, *shape)


class _Untrained(Trainer):
    """Stands for the trainer of a generator that is not trained any more."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator

    def networks(self) -> Mapping[str, nn.Module]:
        return {"generator": self._generator}

    def generator(self) -> Generator:
        return self._generator

    def phases(self) -> Sequence[Phase]:
        return []


def _privacy(run: Run) -> dict[str, float] | None:
    """Return epsilon and delta of a private run, as last logged; None for any other."""
    try:
        last = run.metrics.last() or {}
    except RunError:
        return None
    names = ("epsilon", "delta")
    values = {name: last.get(f"privacy/{name}") for name in names}
    found = {name: value for name, value in values.items() if value is not None}
    return found or None

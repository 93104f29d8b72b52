"""Models that are loaded once, and the threads that compute for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from aigc_core.api import Request, Sampler, open_sampler
from aigc_core.api.request import CheckedRequest
from aigc_core.api.text_stream import TextPiece
from aigc_core.engine import by_output, chunk_inputs
from aigc_core.errors import UserError
from aigc_core.interfaces import AutoregressiveGenerator, Modality, TextCodec, TokenControls
from aigc_core.serving.batches import RowsWork, batcher_for
from aigc_core.serving.limits import LimitError, Limits
from aigc_core.serving.worker import Task, Work, Worker


class ServedModel:
    """A run's generator, loaded once and frozen, and what it can be asked for."""

    def __init__(self, name: str, sampler: Sampler, worker: Worker, limits: Limits) -> None:
        """Take a sampler, of which the networks that only training needs are dropped."""
        sampler.forget_training()
        self.name, self.sampler, self.worker, self.limits = name, sampler, worker, limits
        self.modalities: Mapping[str, Modality] = sampler.parts.modalities
        self._batcher = batcher_for(sampler)
        self.description = self._described()
        """What it is and can be asked for, as JSON data without any path."""
        _stop_within(sampler.generator, worker.check)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The columns that it makes, the main one first."""
        return self.sampler.generator.outputs

    @property
    def codec(self) -> TextCodec | None:
        """The modality of its main output, if that is text."""
        modality = self.modalities[self.outputs[0]]
        return modality if isinstance(modality, TextCodec) else None

    def _described(self) -> dict[str, Any]:
        known = self.sampler.describe()
        outputs = {}
        for column, described in known["outputs"].items():
            modality = self.modalities[column]
            outputs[column] = {
                **described,
                "shape": list(modality.spec.shape),
                "units": dict(modality.spec.units),
                "media_types": {name: modality.media_type(name) for name in modality.formats},
            }
        conditions = {
            name: {key: value for key, value in condition.items() if key != "option"}
            for name, condition in known["conditions"].items()
        }
        kept = ("recipe", "dataset", "modality", "step", "steps", "status", "privacy", "controls")
        return {
            **{key: known[key] for key in kept},
            "outputs": outputs,
            "conditions": conditions,
        }

    def draw(self, request: Request) -> Work:
        """Check a request for samples and return its work, which reads no files any more.

        Its pieces are stored samples by output, for further rows, on the CPU.

        Raises:
            ConfigError: the run cannot be asked for that, or a limit is exceeded.
            DataError: a file that is given cannot be read.
        """
        self._check_limits(request)
        asked = self.sampler.validator.checked(request)
        self._check_tokens(asked)
        if self._batcher is not None and set(asked.conditions) <= {"label"}:
            return RowsWork(self._batcher, asked)
        generator = self.sampler.generator
        if (
            isinstance(generator, AutoregressiveGenerator)
            and type(generator).sample is AutoregressiveGenerator.sample
        ):
            return self._token_by_token(generator, asked)
        return self.sampler.draw_checked(asked)

    def texts(self, request: Request, stops: Sequence[str] = ()) -> Iterator[TextPiece]:
        """Check a request for texts and return its work; see ``Sampler.stream_texts``.

        Raises:
            ConfigError: as for ``draw``, or the run makes no text.
        """
        self._check_limits(request)
        self._check_tokens(self.sampler.validator.checked(request))
        return self.sampler.stream_texts(request, stops)

    def _token_by_token(
        self, generator: AutoregressiveGenerator, asked: CheckedRequest
    ) -> Iterator[dict[str, Tensor] | None]:
        size = generator.sample_chunk
        inputs = chunk_inputs(
            generator,
            asked.count,
            seed=asked.seed,
            device=self.sampler.device,
            conditions=asked.conditions,
        )
        for start, rng, rows in inputs:
            steps = generator.sample_in_steps(
                size, rng=rng, conditions=rows, controls=asked.controls
            )
            while (samples := _without_gradients(steps)) is None:
                yield None
            kept = {n: s[: asked.count - start] for n, s in by_output(generator, samples).items()}
            yield self.sampler.stored(kept, asked.wanted)

    def _check_limits(self, request: Request) -> None:
        if request.count > self.limits.max_count:
            raise LimitError(
                "count",
                f"{request.count:,} samples are too many: a request may ask for "
                f"{self.limits.max_count:,}. Ask several times.",
            )
        for name, text in {"prompt": request.prompt, **request.inputs}.items():
            if isinstance(text, str) and len(text) > self.limits.max_prompt:
                raise LimitError(
                    name,
                    f"The text for '{name}' has {len(text):,} characters, and at most "
                    f"{self.limits.max_prompt:,} are taken. Make it shorter.",
                )

    def _check_tokens(self, asked: CheckedRequest) -> None:
        tokens = asked.controls.tokens if isinstance(asked.controls, TokenControls) else None
        if tokens is not None and tokens > self.limits.max_tokens:
            raise LimitError(
                "tokens",
                f"{tokens:,} tokens are too many: a sample may have {self.limits.max_tokens:,}.",
            )


class ModelPool:
    """Models by name; those on one device share one computing thread."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without models; see ``add``."""
        self.limits, self._clock = limits, clock
        self.models: dict[str, ServedModel] = {}
        self.workers: dict[torch.device, Worker] = {}

    def add(
        self,
        name: str,
        run: str | Path,
        *,
        checkpoint: str | int | None = None,
        device: str = "auto",
    ) -> ServedModel:
        """Load a run and serve it by a name.

        Raises:
            UserError: the name is taken, or as ``open_sampler`` raises.
        """
        if name in self.models:
            raise UserError(
                f"Two models would have the name '{name}'. Name them: NAME={run}, and another "
                "for the other."
            )
        sampler = open_sampler(run, checkpoint=checkpoint, device=device)
        worker = self.workers.get(sampler.device)
        if worker is None:
            worker = Worker(f"aigc-{sampler.device}", self.limits, self._clock)
            self.workers[sampler.device] = worker
            worker.start()
        self.models[name] = ServedModel(name, sampler, worker, self.limits)
        return self.models[name]

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return sum(worker.waiting for worker in self.workers.values())

    @property
    def active(self) -> int:
        """How many requests are worked on."""
        return sum(worker.active for worker in self.workers.values())

    @property
    def is_open(self) -> bool:
        """Whether requests are taken."""
        return all(worker.is_open for worker in self.workers.values())

    def submit(
        self,
        model: ServedModel,
        work: Work,
        on_piece: Callable[[Any], None],
        on_end: Callable[[BaseException | None], None],
    ) -> Task:
        """Have a model's work done; see ``Worker.submit``."""
        return model.worker.submit(work, on_piece, on_end)

    def close(self, timeout_s: float | None = None) -> None:
        """End all requests and all threads."""
        for worker in self.workers.values():
            worker.close(timeout_s)


def _without_gradients(steps: Iterator[Tensor | None]) -> Tensor | None:
    with torch.no_grad():
        return next(steps)


def _stop_within(generator: nn.Module, check: Callable[[], None]) -> None:
    """Have ``check`` called whenever the generator, or one of its parts, is about to compute.

    So what takes many steps, such as a solver, stops between them, whatever its code is.
    """

    def before(module: nn.Module, inputs: Any) -> None:
        check()

    hooked = [generator, *generator.children()]
    for module in hooked:
        if isinstance(module, nn.ModuleList | nn.ModuleDict):  # is never called itself
            hooked.extend(module.children())
        module.register_forward_pre_hook(before)

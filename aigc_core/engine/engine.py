"""The engine: any trainer, a stream of batches, observers, and the loop between them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from aigc_core.config import EngineConfig
from aigc_core.engine.data import ResidentData
from aigc_core.engine.device import choose_device
from aigc_core.engine.ema import ExponentialMovingAverage
from aigc_core.engine.meter import Meter
from aigc_core.engine.observer import EngineObserver
from aigc_core.engine.optimizers import (
    check_optimizer_state,
    optimizer_state,
    restore_optimizer,
)
from aigc_core.engine.precision import choose_precision
from aigc_core.engine.sampler import ShuffledOrder
from aigc_core.engine.sampling import draw_samples
from aigc_core.engine.schedules import learning_rate
from aigc_core.engine.seeds import derive_seed, seed_global
from aigc_core.engine.settings import torch_settings
from aigc_core.engine.signals import StopRequest
from aigc_core.engine.state import EngineState, below, load_weights
from aigc_core.engine.step import StepRunner, build_phases
from aigc_core.engine.validation import Validation
from aigc_core.errors import RunError, TrainingError
from aigc_core.interfaces import Batch, Generator, Trainer


@dataclass(frozen=True)
class FitResult:
    """How a call of ``fit`` ended."""

    step: int
    signal: int | None
    """The signal that stopped it, or None when all steps are done."""


class Engine:
    """Trains any ``Trainer``.

    Usable on its own, without plugins or folders::

        engine = Engine(trainer, {"samples": images}, EngineConfig(steps=1000))
        engine.fit()
        images = engine.sample(16, seed=0)
    """

    def __init__(
        self,
        trainer: Trainer,
        data: Mapping[str, Tensor],
        config: EngineConfig,
        *,
        transform: Callable[[Tensor], Tensor] | None = None,
        validation: Mapping[str, Tensor] | None = None,
        observers: Sequence[EngineObserver] = (),
    ) -> None:
        """Move a trainer's networks to the device and make ready.

        Args:
            trainer: networks and phases; the networks' weights are taken as they are.
            data: ``samples`` ``(N, ...)`` and others of the same length, in their stored form.
            config: how to run.
            transform: maps a batch of stored samples to the model's form, on the device.
            validation: held-out data of the same form, for what the trainer measures there.
            observers: told of metrics, samples and checkpoints.

        Raises:
            ConfigError: a device that is not there, or a phase that is not valid.
            DataError: no data.
        """
        self.config = config
        self.trainer = trainer
        self.device = choose_device(config.device)
        self.precision = choose_precision(config.precision, self.device)
        self.networks = dict(trainer.networks())
        self.channels_last = self._choose_channels_last()
        for network in self.networks.values():
            network.to(self.device).train()
            if self.channels_last:
                network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        generator = trainer.generator().to(self.device)
        self.ema = ExponentialMovingAverage(generator, config.ema) if config.ema else None
        self.data = ResidentData(data, self.device, transform)
        self._validation: Validation | None = None
        if validation is not None and config.validation_samples:
            self._validation = Validation(
                trainer,
                ResidentData(validation, self.device, transform),
                self.device,
                seed=config.seed,
                batch_size=config.batch_size,
                samples=config.validation_samples,
            )
        self._order = ShuffledOrder(len(self.data), config.seed, self.data.index_device)
        phases = build_phases(self.networks, list(trainer.phases()), self.device)
        repeats = max((runner.phase.repeats for runner in phases), default=1)
        self.samples_per_step = config.batch_size * repeats
        self.total_steps = config.steps or max(
            1, math.ceil((config.epochs or 0) * len(self.data) / self.samples_per_step)
        )
        self._steps = StepRunner(
            phases, self.device, self.precision, config.accumulate, self.total_steps
        )
        self._meter = Meter(self.device)
        self._observers = list(observers)
        self.step = 0
        self._halfway = False  # inside a step, or an exception left one unfinished
        self.train_seconds = 0.0
        self._logged = (0, 0.0)  # step and train_seconds at the last log

    def add_observer(self, observer: EngineObserver) -> None:
        """Tell another observer from now on, after those that are there."""
        self._observers.append(observer)

    @property
    def generator(self) -> Generator:
        """The network that samples are drawn from: the averaged copy where there is one."""
        return self.ema.generator if self.ema else self.trainer.generator()

    def sample(self, count: int, *, seed: int) -> Tensor:
        """Draw ``(count, *sample_shape)`` float32 samples; training is not disturbed."""
        return torch.cat(list(draw_samples(self.generator, count, seed=seed, device=self.device)))

    def fit(self) -> FitResult:
        """Train until ``total_steps``, or until a signal such as Ctrl-C ends it after a step.

        Raises:
            TrainingError: a phase's losses or gradients were not finite for ``max_skipped_steps``
                updates in a row, or an earlier call ended in the middle of a step.
        """
        if self._halfway:
            raise TrainingError(
                "A step was interrupted halfway, so the networks are out of step with each other. "
                "Load a state, or make a new engine."
            )
        with StopRequest() as stop, torch_settings(self.device, self.config.deterministic):
            self._tell("fit_started")
            clock = time.perf_counter()
            while self.step < self.total_steps and stop.received is None:
                self._train_step()
                due = self._due(last=self.step == self.total_steps)
                if due:
                    self._wait_for_device()
                    self.train_seconds += time.perf_counter() - clock
                    self._do(due)
                    clock = time.perf_counter()
            self._wait_for_device()
            self.train_seconds += time.perf_counter() - clock
            if stop.received is not None and self.step < self.total_steps:
                self._tell("checkpoint_due")
                return FitResult(self.step, stop.received)
            return FitResult(self.step, None)

    def _due(self, *, last: bool) -> set[str]:
        config = self.config
        intervals = {
            "log": config.log_every,
            "checkpoint": config.checkpoint.every,
            "samples": config.sample_every,
        }
        if self._validation is not None:
            intervals["validation"] = config.validate_every
        return {name for name, every in intervals.items() if last or self.step % every == 0}

    def _do(self, due: set[str]) -> None:
        measured: dict[str, float] = {}
        if "validation" in due and self._validation is not None:
            found = self._validation.run(self.step)
            measured = {f"validation/{name}": value for name, value in found.items()}
        if "log" in due or measured:
            self._log(self.train_seconds, measured)
        if "checkpoint" in due:
            self._tell("checkpoint_due")
        if "samples" in due:
            self._tell("samples_due")

    def _train_step(self) -> None:
        config, step = self.config, self.step
        part_size = config.batch_size // config.accumulate

        def batch_of(repeat: int, part: int) -> Batch:
            start = step * self.samples_per_step + repeat * config.batch_size + part * part_size
            batch = dict(self.data.take(self._order.indices(start, part_size)))
            if self.channels_last and batch["samples"].dim() == 4:
                batch["samples"] = batch["samples"].contiguous(memory_format=torch.channels_last)
            return batch

        seed = derive_seed(config.seed, "step", step)
        seed_global(seed, self.device)  # dropout and the like draw from there
        self._halfway = True
        self._steps.run(step, seed, batch_of, self._meter)
        self._halfway = False
        if self.ema:
            self.ema.update(step)
        self.step += 1

    def _log(self, seconds: float, measured: Mapping[str, float]) -> None:
        counts = torch.stack([runner.guard.counts for runner in self._steps.runners])  # (P, 2)
        extra = [counts[:, 0].max(), counts[:, 1].sum()]
        metrics, (skipped_in_a_row, skipped) = self._meter.read(extra)  # an interval's one sync
        metrics["skipped_updates"] = skipped
        steps, elapsed = self.step - self._logged[0], seconds - self._logged[1]
        metrics["epoch"] = self.step * self.samples_per_step / len(self.data)
        metrics["samples_per_second"] = steps * self.samples_per_step / max(elapsed, 1e-9)
        for runner in self._steps.runners:
            if runner.phase.optimizer.scheduled:
                lr = learning_rate(runner.phase.optimizer, self.step - 1, self.total_steps)
                metrics[f"learning_rate/{runner.phase.name}"] = lr
        self._logged = (self.step, seconds)
        self._tell("metrics_logged", {**metrics, **measured})
        if skipped_in_a_row >= self.config.max_skipped_steps:
            raise TrainingError(
                f"Training diverged: at step {self.step}, the last {skipped_in_a_row:.0f} updates "
                "of a phase had losses or gradients that are not finite and were skipped. Start a "
                "new run with a lower learning rate, clip_grad_norm, or engine.precision=fp32."
            )

    def _wait_for_device(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()

    def _tell(self, what: str, *arguments: Any) -> None:
        for observer in self._observers:
            getattr(observer, what)(self, *arguments)

    def _choose_channels_last(self) -> bool:
        if self.config.channels_last is not None:
            return self.config.channels_last
        convolutions = (nn.Conv2d, nn.ConvTranspose2d)
        has_2d = any(
            isinstance(module, convolutions)
            for network in self.networks.values()
            for module in network.modules()
        )
        return has_2d and (self.device.type == "cuda" or self.precision == "bf16")

    def _modules(self) -> dict[str, nn.Module]:
        return self.networks | ({"ema": self.ema.generator} if self.ema else {})

    def state(self) -> EngineState:
        """Return the whole state; tensors are the live ones, to be copied before the next step."""
        weights = {
            f"{name}.{key}": value
            for name, module in self._modules().items()
            for key, value in module.state_dict().items()
        }
        tensors = {f"meter/{name}": value for name, value in self._meter.sums.items()}
        for runner in self._steps.runners:
            prefix = f"phase/{runner.phase.name}/"
            tensors[f"{prefix}guard"] = runner.guard.counts
            saved = optimizer_state(runner.optimizer, runner.names)
            tensors |= {f"{prefix}{name}": value for name, value in saved.items()}
        scalars = {
            "step": self.step,
            "samples_per_step": self.samples_per_step,
            "train_seconds": self.train_seconds,
            "logged": list(self._logged),
            "meter_counts": dict(self._meter.counts),
        }
        return EngineState(weights, tensors, scalars)

    def load_state(self, state: EngineState) -> None:
        """Go on from a state of an engine with the same trainer and configuration.

        Raises:
            RunError: the state does not fit; nothing was changed.
        """
        before = state.scalars["samples_per_step"]
        if before != self.samples_per_step:
            raise RunError(
                f"The checkpoint was written with {before} samples a step, and there are "
                f"{self.samples_per_step} now: batch_size or a phase's repeats were changed."
            )
        for runner in self._steps.runners:
            own = below(state.tensors, f"phase/{runner.phase.name}/")
            if "guard" not in own:
                raise RunError(f"The checkpoint has no phase '{runner.phase.name}'.")
            optimizer = {name: value for name, value in own.items() if name != "guard"}
            check_optimizer_state(runner.phase.optimizer, runner.names, optimizer)
        load_weights(self._modules(), state.weights)
        for runner in self._steps.runners:
            own = below(state.tensors, f"phase/{runner.phase.name}/")
            runner.guard.counts = own.pop("guard").to(self.device, copy=True)
            restore_optimizer(runner.optimizer, runner.names, own)
        sums, counts = below(state.tensors, "meter/"), state.scalars["meter_counts"]
        self._meter.sums = {name: sums[name].to(self.device, copy=True) for name in counts}
        self._meter.counts = dict(counts)
        self.step = int(state.scalars["step"])
        self.train_seconds = float(state.scalars["train_seconds"])
        logged_step, logged_seconds = state.scalars["logged"]
        self._logged = (int(logged_step), float(logged_seconds))
        self._halfway = False

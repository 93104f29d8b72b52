"""The engine: the loop that connects a trainer, a stream of batches and observers."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from aigc_core.config import EngineConfig
from aigc_core.engine.accountant import PrivacyAccount
from aigc_core.engine.data import ResidentData, Transform
from aigc_core.engine.device import (
    batch_channels_last,
    choose,
    choose_device,
    torch_settings,
    wait_for,
    weights_channels_last,
)
from aigc_core.engine.distributed import Processes, check_divides, current
from aigc_core.engine.ema import ExponentialMovingAverage
from aigc_core.engine.feed import Feed
from aigc_core.engine.inputs import as_arrays, check_trainer, described, generator_of
from aigc_core.engine.metrics import LogInterval
from aigc_core.engine.normalization import share_batch_norm
from aigc_core.engine.optimizers import learning_rate
from aigc_core.engine.order import ShuffledOrder, permuted
from aigc_core.engine.privacy import PrivateBatch, PrivateTraining
from aigc_core.engine.sampling import draw_samples, joined, row_conditions
from aigc_core.engine.seeds import derive_seed, seed_global
from aigc_core.engine.signals import StopRequest
from aigc_core.engine.state import (
    put_back,
    read_scalars,
    saved_modules,
    tensors_of,
    weights_of,
)
from aigc_core.engine.step import StepRunner, build_phases, freeze, freeze_named
from aigc_core.engine.stopping import FitResult, Stopping
from aigc_core.engine.validation import Comparison, build_validation
from aigc_core.errors import (
    AigcError,
    ConfigError,
    RunError,
    StopTraining,
    TrainingError,
    UserError,
    did_you_mean,
    raised_at,
)
from aigc_core.interfaces import Batch, Generator, Trainer
from aigc_core.state import Best, State

logger = logging.getLogger("aigc")


class EngineObserver:
    """Base class for whatever watches an engine; override only the methods you need.

    The engine writes nothing itself: an observer that wants a checkpoint on disk takes
    ``engine.state()`` when ``checkpoint_due`` is called.

    Any method may raise ``StopTraining`` to end the training after this step or the next one, with
    a checkpoint. An observer that raises anything else is reported and switched off, and training
    continues; but a ``required`` observer's exceptions, and every ``AigcError``, end the training.
    """

    required = False
    """Whether the training is pointless without this observer."""

    def fit_started(self, engine: Engine) -> None:
        """Called before the first step."""

    def metrics_logged(self, engine: Engine, metrics: Mapping[str, float]) -> None:
        """Called at every log interval, after each validation and after the last step."""

    def samples_due(self, engine: Engine) -> None:
        """Called at every sample interval and after the last step."""

    def checkpoint_due(self, engine: Engine) -> None:
        """Called at every checkpoint interval, new best, signal, and after the last step."""

    def fit_ended(self, engine: Engine) -> None:
        """Called when ``fit`` ends, even with an exception."""


class Due(NamedTuple):
    """What to do after a step."""

    validation: bool = False
    log: bool = False
    checkpoint: bool = False
    samples: bool = False


class Engine:
    """Trains any ``Trainer``.

    Usable on its own, without plugins or folders::

        engine = Engine(trainer, {"samples": images}, EngineConfig(steps=1000))
        engine.fit()
        images = engine.sample(16, seed=0)

    Within ``distributed.joined()``, each of several processes makes the same engine, and they train
    as one: each takes its rows of every batch. Only the first calls observers.
    """

    def __init__(
        self,
        trainer: Trainer,
        data: object,
        config: EngineConfig,
        *,
        transform: Transform | Mapping[str, Transform] | None = None,
        streams: Mapping[str, str] | None = None,
        validation: object | None = None,
        compare: Comparison | Mapping[str, Comparison] | None = None,
        observers: Sequence[EngineObserver] = (),
    ) -> None:
        """Move a trainer's networks to the device and prepare to train.

        Args:
            trainer: networks and phases; training starts from the networks' current weights.
            data: arrays by name, ``samples`` ``(N, ...)`` and others of the same length, in their
                stored form; or anything else ``as_arrays`` takes: one array of samples, or a
                map-style ``torch.utils.data.Dataset`` that fits in memory.
            config: how to run.
            transform: maps a batch of stored samples to the model's form, on the device; or such
                functions by the name of the array.
            streams: of arrays that are not paired with ``samples``: those of one stream have one
                length, and an order of their own.
            validation: held-out data in the same form, to measure on at validations.
            compare: computes the ``validation_metrics``: compares some of that data with
                generated samples at each validation; or such functions by the output that each
                is for.
            observers: are called with metrics, and when samples and checkpoints are due.

        Raises:
            ConfigError: the device is not available, a phase is not valid, or an argument has the
                wrong type.
            DataError: there is no data, or the engine cannot take it.
        """
        check_trainer(trainer, config)
        for observer in observers:
            _check_observer(observer)
        self.processes: Processes = current()
        check_divides(config, self.processes.size)
        self.config = config
        self.trainer = trainer
        self.device = choose_device(config.device)
        self.networks = saved_modules(trainer)
        chosen = choose(config, self.networks.values(), self.device)
        self.precision, self.channels_last, self._threads = chosen
        for network in self.networks.values():
            network.to(self.device).train()
            if self.channels_last:
                weights_channels_last(network)
        if config.shared_batch_norm and self.processes.size > 1:
            share_batch_norm(self.networks.values())
        freeze_named(self.networks, config.freeze)
        generator = generator_of(trainer).to(self.device)
        self.ema = ExponentialMovingAverage(generator, config.ema) if config.ema else None
        transforms = transform if isinstance(transform, Mapping) else {"samples": transform}
        transforms = {name: found for name, found in transforms.items() if found is not None}
        self.data = ResidentData(as_arrays(data), self.device, transforms, streams)
        self._held_out: ResidentData | None = None
        if validation is not None and config.validation_samples:
            arrays = as_arrays(validation)
            self._held_out = ResidentData(arrays, self.device, transforms, streams)
        comparisons = _by_column(compare, generator)
        higher = [name for found in comparisons.values() for name in found.higher_is_better]
        self._stopping = Stopping(
            config, (*trainer.higher_is_better, *higher), compares=bool(comparisons)
        )
        self._checked = config.needs_validation is None
        orders = {
            stream: ShuffledOrder(
                length,
                config.seed if stream == "samples" else derive_seed(config.seed, f"order-{stream}"),
                self.data.index_device,
            )
            for stream, length in self.data.lengths.items()
        }
        declared = list(trainer.phases())
        self._private = PrivateTraining.of(declared, self.networks, self.data, config, self.device)
        if self._private is not None:
            if self.processes.size > 1:
                raise ConfigError(
                    "A private training (trainer.privacy) takes one process: noise is drawn once "
                    f"for a whole batch, and there are {self.processes.size}."
                )
            self.precision = "fp32"  # gradients of single samples are clipped by their length
        phases = build_phases(self.networks, declared, self.device)
        freeze(self.networks, trainer.frozen(), phases)
        repeats = max((runner.phase.repeats for runner in phases), default=1)
        self.samples_per_step = config.batch_size * repeats
        self._feed = Feed(self.data, orders, self.samples_per_step)
        self.total_steps = config.steps or max(
            1, math.ceil((config.epochs or 0) * len(self.data) / self.samples_per_step)
        )
        self._noise: float | None = None  # multiplier of earlier private steps
        self._schedule_steps = config.schedule_steps or self.total_steps
        self._validation = build_validation(
            trainer,
            self._held_out,
            comparisons,
            config,
            device=self.device,
            total_steps=self.total_steps,
            epochs_per_step=self.samples_per_step / len(self.data),
        )
        self._steps = StepRunner(
            phases,
            self.device,
            self.precision,
            config.accumulate,
            self._schedule_steps,
            trainer.after_step,
            self.processes,
        )
        self._interval = LogInterval(phases, self.device, self.samples_per_step, len(self.data))
        self._observers = list(observers)
        self._stop_reason: str | None = None  # an observer's or the trainer's, until acted on
        self.step = 0
        self.former_processes = self.processes.size
        """How many processes trained before the state that was last loaded was saved."""
        self._saved_step = -1
        self._halfway = False  # inside a step, or an exception left one unfinished
        self.train_seconds = 0.0

    def check_validation(self) -> None:
        """Check, before the first step, that validations will measure what the settings ask for.

        ``fit`` does this too. Training is not disturbed. After a resume, a metric that refuses the
        samples only gives a warning, as it would have without the interruption.

        Raises:
            UserError: what the settings ask for is not measured, or a metric refuses the samples.
        """
        if self._checked or not self.processes.first:
            return
        try:
            names = self._validation.names(self.generator) if self._validation else None
        except UserError as error:
            if self.step == 0:
                raise
            logger.warning("What validations measure was not checked: %s", error)
        else:
            self._stopping.check(names)
        self._checked = True

    def open_privacy_account(self) -> PrivacyAccount | None:
        """Return the account of a private training, or None if it is not private.

        ``fit`` does this too; the first time may take seconds.

        Raises:
            ConfigError: epsilon cannot be counted, or is too small for this many steps.
            RunError: the budget is spent already, or earlier steps had no noise, or another.
        """
        if self._private is None and self._noise is not None:
            raise RunError(
                "The run was private up to here, and trainer.privacy is gone: further steps would "
                "break what was promised. Leave trainer.privacy as it was."
            )
        if self._private is None:
            return None
        return self._private.open_account(self.step, self.total_steps, self._noise)

    def add_observer(self, observer: EngineObserver) -> None:
        """Add an observer, to be called after the existing ones."""
        _check_observer(observer)
        self._observers.append(observer)

    @property
    def private(self) -> bool:
        """Whether a phase is trained with differential privacy."""
        return self._private is not None

    @property
    def generator(self) -> Generator:
        """The network that samples are drawn from: the averaged copy if there is one."""
        return self.ema.generator if self.ema else self.trainer.generator()

    def sample(self, count: int, *, seed: int) -> Tensor:
        """Draw ``(count, *sample_shape)`` samples of the generator's main output.

        See ``sample_columns``.
        """
        return self.sample_columns(count, seed=seed)[self.generator.outputs[0]]

    def sample_columns(self, count: int, *, seed: int) -> dict[str, Tensor]:
        """Draw ``(count, *sample_shape)`` samples of each output; training is not disturbed.

        What the generator is given besides classes are rows of the held-out data, or else of the
        training data, drawn at random.
        """
        data = self._held_out or self.data
        rows = permuted(torch.arange(count) % len(data), len(data), derive_seed(seed, "rows"))
        given = row_conditions(self.generator, data, rows)
        chunks = draw_samples(
            self.generator, count, seed=seed, device=self.device, conditions=given
        )
        return joined(chunks)

    @property
    def best(self) -> Best | None:
        """The best validation so far, by ``checkpoint.keep_best``."""
        return self._stopping.best

    def schedule_jumps(self, before: int) -> list[tuple[str, float, float]]:
        """Return the phases whose learning rate jumps up because schedules now end later.

        Args:
            before: the step at which schedules without ``decay_steps`` used to end.

        Returns:
            For each: the phase's name, its rate at the last step, and at the next one.
        """
        jumps = []
        for runner in self._steps.runners:
            config = runner.phase.optimizer
            last = learning_rate(config, max(0, self.step - 1), before)
            now = learning_rate(config, self.step, self._schedule_steps)
            if self.step and now > 1.05 * last and self.step >= config.warmup_steps:
                jumps.append((runner.phase.name, last, now))
        return jumps

    def forget_best(self) -> None:
        """Let the next validation be the best, as when the best one's checkpoint is gone."""
        self._stopping.forget_best()

    def fit(self, until_step: int | None = None) -> FitResult:
        """Train until the standard is reached, patience runs out or ``total_steps`` are done.

        A signal such as Ctrl-C ends it after a step; so does an observer's ``StopTraining``.

        Args:
            until_step: pause after this step, counted from the training's start. The work that
                follows a last step is skipped, and a later call continues as if there had been no
                pause.

        Raises:
            TrainingError: a phase's losses or gradients were not finite for ``max_skipped_steps``
                updates in a row, a parameter was not finite when a checkpoint was due, or an
                earlier call ended in the middle of a step.
            UserError: the settings need a validation that is not available.
        """
        if self._halfway:
            raise TrainingError(
                "A step was interrupted halfway, so the networks are out of step with each other. "
                "Load a state, or make a new engine."
            )
        self.check_validation()
        self.open_privacy_account()
        self._stopping.ending, self._stop_reason = None, None
        limit = self.total_steps if until_step is None else min(until_step, self.total_steps)
        try:
            with (
                StopRequest() as heard,
                torch_settings(self.device, self.config.deterministic, self._threads),
            ):
                self._notify(lambda observer: observer.fit_started(self))
                stop = heard if self.processes.size == 1 else StopRequest()  # what all agree on
                self._run(limit, heard, stop)
                if stop.received is not None and self._unfinished():
                    self._save()
                    return FitResult(self.step, stop.received)
        finally:
            if self.processes.first:
                self._call(lambda observer: observer.fit_ended(self))
        if self._unfinished():
            return FitResult(self.step, None)  # paused
        self._stopping.out_of_steps(self.step)
        return FitResult(self.step, None, self._stopping.ending)

    def _run(self, limit: int, heard: StopRequest, stop: StopRequest) -> None:
        clock = time.perf_counter()
        while self.step < limit and self._unfinished() and stop.received is None:
            self._train_step()
            if self._private is not None and self.step < self.total_steps:
                self._stop_reason = self._stop_reason or self._private.spent_before(self.step)
            if self.config.max_time is not None:
                self._stopping.check_time(self.step, self.train_seconds + _since(clock))
            if self.processes.size > 1:
                self._agree(heard, stop)
            ends = self.step == self.total_steps or bool(self._stop_reason)
            due = self._due(all_of_it=ends or self._stopping.ending is not None)
            if any(due):
                self._stop_clock(clock)
                due = self._do(due)
                clock = time.perf_counter()
            if stop.save:  # requested by a signal, perhaps during the work above
                self._stop_clock(clock)
                self._save()
                stop.save, clock = False, time.perf_counter()
        self._stop_clock(clock)

    def _agree(self, heard: StopRequest, stop: StopRequest) -> None:
        """Let every process stop, or save, after this step if any of them is to.

        What they hear from now on is for the next step: all must do the same.
        """
        save, heard.save = heard.save, False
        stopped, time_over = self._stop_reason is not None, self._stopping.ending is not None
        agreed = self.processes.largest([heard.received or 0, save, stopped, time_over])
        stop.received, stop.save = agreed[0] or None, bool(agreed[1])
        if agreed[2] and self._stop_reason is None:
            self._stop_reason = "another process asked for it"
        if agreed[3]:
            self._stopping.check_time(self.step, math.inf)

    def _stop_clock(self, started: float) -> None:
        wait_for(self.device)
        self.train_seconds += _since(started)

    def _unfinished(self) -> bool:
        return self.step < self.total_steps and self._stopping.ending is None

    def _due(self, *, all_of_it: bool) -> Due:
        config = self.config

        def now(every: int) -> bool:
            return all_of_it or self.step % every == 0

        return Due(
            validation=self._validation is not None and now(config.validate_every),
            log=now(config.log_every),
            checkpoint=now(config.checkpoint.every),
            samples=now(config.sample_every),
        )

    def _do(self, due: Due) -> Due:
        """Do what is due, and return everything that was done."""
        measured: dict[str, float] = {}
        if due.validation and self._validation is not None:
            validation = self._validation
            measured = self.processes.from_first(lambda: validation.run(self.step, self.generator))
            if self._stopping.judge(self.step, measured):
                due = due._replace(checkpoint=True)  # a best that is not on disk is no use
        due = self._with_ending(due)
        if due.log or measured:
            means = self._interval.read(self.step, self.train_seconds, self._schedule_steps)
            metrics = {**means, **measured}
            if self._private is not None:
                metrics |= self._private.metrics(self.step)
            self._notify(lambda observer: observer.metrics_logged(self, metrics))
            self._interval.check(self.step, self.config.max_skipped_steps)
            due = self._with_ending(due)
        if due.checkpoint:
            self._save()
        if due.samples:
            self._notify(lambda observer: observer.samples_due(self))
        return due

    def _with_ending(self, due: Due) -> Due:
        """Return what is due; if the training ends here, also log, checkpoint and samples."""
        reason = self._stop_reason
        self._stop_reason = reason = self.processes.from_first(lambda: reason)
        if reason is not None:
            self._stopping.stop(self.step, reason)
        if self.step == self.total_steps:
            self._stopping.out_of_steps(self.step)
        if self._stopping.ending is None:
            return due
        return due._replace(log=True, checkpoint=True, samples=True)

    def _save(self) -> None:
        """Have observers write a checkpoint, unless it is not worth keeping.

        Raises:
            TrainingError: a parameter is not finite. Training cannot recover from that, and new
                checkpoints would replace the good ones.
        """
        if self._saved_step == self.step:
            return  # a signal came after the checkpoint that was due
        lost = self._not_finite()
        if lost is not None:
            raise TrainingError(
                f"Training diverged: at step {self.step}, the parameter '{lost}' is not finite. No "
                "checkpoint of it is written; the earlier ones are kept. Start a new run with a "
                "lower learning rate, clip_grad_norm, or engine.precision=fp32."
            )
        self._notify(lambda observer: observer.checkpoint_due(self))
        self._saved_step = self.step

    @torch.no_grad()
    def _not_finite(self) -> str | None:
        """Return the name of a trained parameter that is not finite; waits for the device once."""
        named = {
            f"{name}.{key}": parameter
            for name, module in self._modules().items()
            for key, parameter in module.named_parameters()
            if parameter.is_floating_point() and (parameter.requires_grad or name == "ema")
        }
        if not named:
            return None
        finite = torch.stack([torch.isfinite(p).all() for p in named.values()]).tolist()
        return next((name for name, fine in zip(named, finite, strict=True) if not fine), None)

    def _train_step(self) -> None:
        config, step, private = self.config, self.step, self._private
        part_size = config.batch_size // self._steps.all_parts

        def batch_of(repeat: int, part: int) -> Batch:
            start = step * self.samples_per_step + repeat * config.batch_size + part * part_size
            batch = self._feed.batch(start, part_size)
            return batch_channels_last(batch) if self.channels_last else batch

        def nothing_of(repeat: int, part: int) -> Batch:
            assert private is not None
            batch = private.nothing(part_size, derive_seed(seed, "no data", repeat, part))
            return batch_channels_last(batch) if self.channels_last else batch

        def private_of(repeat: int) -> PrivateBatch:
            assert private is not None
            return private.batch(step, repeat, part_size)

        seed = derive_seed(config.seed, "step", step)
        seed_global(seed, self.device)  # dropout and the like draw from it
        self._halfway = True
        self._steps.run(
            step,
            seed,
            batch_of if private is None else nothing_of,
            self._interval.meter.add,
            total_steps=self.total_steps,
            epoch=step * self.samples_per_step / len(self.data),
            stop=self._request_stop,
            private_of=private_of if private is not None else None,
        )
        self._halfway = False
        if self.ema:
            self.ema.update(step)
        self.step += 1

    def _request_stop(self, reason: str) -> None:
        self._stop_reason = self._stop_reason or reason

    def _notify(self, call: Callable[[EngineObserver], None]) -> None:
        """Call the observers in the first process, while the others wait."""
        self.processes.from_first(lambda: self._call(call))

    def _call(self, call: Callable[[EngineObserver], None]) -> None:
        for observer in list(self._observers):
            try:
                call(observer)
            except StopTraining as stop:
                self._stop_reason = stop.reason
            except AigcError:
                raise
            except Exception as error:
                if observer.required:
                    raise
                self._observers.remove(observer)
                logger.warning(
                    "The observer %s failed and is switched off: %s",
                    type(observer).__name__,
                    raised_at(error),
                )
                logger.debug("Its traceback:", exc_info=error)

    def _modules(self) -> dict[str, nn.Module]:
        return self.networks | ({"ema": self.ema.generator} if self.ema else {})

    def state(self) -> State:
        """Return the whole state; tensors are the live ones, to be copied before the next step."""
        scalars = {
            "step": self.step,
            "samples_per_step": self.samples_per_step,
            "train_seconds": self.train_seconds,
            "logged": list(self._interval.start),
            "meter_counts": dict(self._interval.meter.counts),
            "validations": self._stopping.outcome.model_dump(),
        }
        if self.processes.size > 1:
            scalars["processes"] = self.processes.size
        if self._private is not None and self._private.noise is not None:
            self._noise = self._private.noise
        if self._noise is not None:
            scalars["noise_multiplier"] = self._noise
        tensors = tensors_of(self._steps.runners, self._interval.meter)
        return State(weights_of(self._modules()), tensors, scalars)

    def load_state(self, state: State) -> None:
        """Resume from a state of an engine with the same trainer and configuration.

        Raises:
            RunError: the state does not fit; nothing was changed.
        """
        scalars = read_scalars(state)
        before = scalars.samples_per_step
        if before != self.samples_per_step:
            raise RunError(
                f"The checkpoint was written with {before} samples a step, and there are "
                f"{self.samples_per_step} now: batch_size or a phase's repeats were changed."
            )
        put_back(state, self._modules(), self._steps.runners, self._interval.meter)
        self.step = scalars.step
        self._noise = scalars.noise_multiplier
        self.former_processes = scalars.processes
        if self._private is not None:
            self._private.close_account()
        self.train_seconds = scalars.train_seconds
        self._interval.start = scalars.logged
        self._stopping.resume_from(scalars.validations)
        self._saved_step = -1
        self._halfway = False


def _by_column(
    compare: Comparison | Mapping[str, Comparison] | None, generator: Generator
) -> dict[str, Comparison]:
    """Return comparisons by the output they are for."""
    if compare is None:
        return {}
    given = compare if isinstance(compare, Mapping) else {generator.outputs[0]: compare}
    for name in given:
        if name not in generator.outputs:
            raise ConfigError(
                f"compare names the output '{name}'.{did_you_mean(name, generator.outputs)}"
            )
    return dict(given)


def _since(started: float) -> float:
    return time.perf_counter() - started


def _check_observer(observer: Any) -> None:
    if not isinstance(observer, EngineObserver):
        raise ConfigError(
            "An engine's observers derive from aigc_core.EngineObserver, and "
            f"{described(observer)} does not. Objects with @hookimpl methods go to "
            "aigc_core.train(..., observers=[...])."
        )

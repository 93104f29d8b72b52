"""One training step: each phase's turn, from batch to update, without a host sync except on MPS."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from aigc_core.engine.device import autocast
from aigc_core.engine.distributed import Processes
from aigc_core.engine.guard import Guard
from aigc_core.engine.optimizers import build_optimizer, learning_rate, update
from aigc_core.engine.privacy import ClippedGradients, PrivateBatch
from aigc_core.engine.seeds import derive_seed, seed_global
from aigc_core.errors import ConfigError, did_you_mean
from aigc_core.interfaces import Batch, Phase, StepState


@dataclass
class PhaseRunner:
    """A phase, the parameters it trains, its optimiser and its guard."""

    phase: Phase
    parameters: list[nn.Parameter]
    names: dict[Tensor, str]
    optimizer: Optimizer
    guard: Guard
    clipped: ClippedGradients | None = None
    """Makes the gradients of a private phase."""

    def forget_gradients(self) -> None:
        """Do what ``Optimizer.zero_grad`` does, in a tenth of its time."""
        for parameter in self.parameters:
            parameter.grad = None

    def runs_at(self, step: int) -> bool:
        """Return whether the phase runs at a step."""
        active = self.phase.active
        return step % self.phase.every == 0 and (active is None or active(step))


def build_phases(
    networks: Mapping[str, nn.Module], phases: list[Phase], device: torch.device
) -> list[PhaseRunner]:
    """Check a trainer's phases and give each its optimiser.

    Raises:
        ConfigError: a phase or a network's name is not valid; the message names it.
    """
    for name in networks:
        if name == "ema" or not name or "." in name or "/" in name:
            raise ConfigError(
                f"A network cannot be named '{name}': no dots, no slashes, not 'ema'."
            )
    runners = []
    seen: set[str] = set()
    for phase in phases:
        if phase.name in seen:
            raise ConfigError(f"Two phases are named '{phase.name}'.")
        seen.add(phase.name)
        if phase.every < 1 or phase.repeats < 1:
            raise ConfigError(f"Phase '{phase.name}': every and repeats must be at least 1.")
        names: dict[Tensor, str] = {}
        for network in phase.updates:
            if network not in networks:
                raise ConfigError(
                    f"Phase '{phase.name}' updates '{network}', which is not a network."
                    + did_you_mean(network, networks)
                )
            for name, parameter in networks[network].named_parameters():
                if parameter.requires_grad:
                    names.setdefault(parameter, f"{network}.{name}")
        if not names:
            raise ConfigError(
                f"Phase '{phase.name}' has no parameter to train: {', '.join(phase.updates)} has "
                "none, or they are frozen. Freeze less with engine.freeze."
            )
        parameters: list[Any] = list(names)
        optimizer = build_optimizer(phase, parameters, device)
        guard = Guard(list(networks.values()), device)
        clipped = None
        if phase.privacy is not None:
            clipped = ClippedGradients(networks, parameters, phase.privacy.clip_norm)
        runners.append(PhaseRunner(phase, parameters, names, optimizer, guard, clipped))
    if not runners:
        raise ConfigError("A trainer needs at least one phase.")
    return runners


def freeze_named(networks: Mapping[str, nn.Module], patterns: Collection[str]) -> None:
    """Freeze what patterns name: networks, modules or parameters; ``*`` stands for anything.

    Raises:
        ConfigError: a pattern matches nothing.
    """
    named: dict[str, nn.Module | nn.Parameter] = {}
    for network, module in networks.items():
        parts: list[tuple[str, Any]] = [*module.named_modules(), *module.named_parameters()]
        named |= {f"{network}.{name}" if name else network: part for name, part in parts}
    for pattern in patterns:
        matching = [part for name, part in named.items() if fnmatchcase(name, pattern)]
        if not matching:
            raise ConfigError(
                f"engine.freeze names '{pattern}', which is not there."
                + did_you_mean(pattern, list(named))
            )
        for part in matching:
            part.requires_grad_(False)
            if isinstance(part, nn.Module):
                part.eval()


def freeze(
    networks: Mapping[str, nn.Module], named: Collection[str] | None, runners: list[PhaseRunner]
) -> None:
    """Put networks that are never trained into evaluation mode, without gradients.

    Args:
        networks: the trainer's networks.
        named: the names from ``Trainer.frozen``; None for all that no phase updates.
        runners: the phases.

    Raises:
        ConfigError: a name is not a network's, or a phase updates that network.
    """
    updated = {network for runner in runners for network in runner.phase.updates}
    trained = {module for network in updated for module in networks[network].modules()}
    parameters = {parameter for runner in runners for parameter in runner.parameters}
    for name in named if named is not None else set(networks) - updated:
        if name not in networks:
            raise ConfigError(
                f"The trainer freezes '{name}', which is not a network."
                + did_you_mean(name, networks)
            )
        if name in updated:
            raise ConfigError(f"The trainer freezes '{name}', and a phase of its updates it.")
        for module in networks[name].modules():  # except those shared with trained networks
            module.training &= module in trained
        for parameter in networks[name].parameters():
            if parameter not in parameters:
                parameter.requires_grad_(False)


class StepRunner:
    """Runs steps of a trainer's phases."""

    def __init__(
        self,
        runners: list[PhaseRunner],
        device: torch.device,
        precision: str,
        accumulate: int,
        schedule_steps: int,
        after_step: Callable[[StepState], None],
        processes: Processes | None = None,
    ) -> None:
        self.processes = processes or Processes()
        self.all_parts = accumulate * self.processes.size
        for runner in runners:
            runner.guard.watching = self.processes.size > 1
        self.runners = runners
        self.after_step = after_step
        self.device = device
        self.precision = precision
        self.accumulate = accumulate
        self.schedule_steps = schedule_steps
        self.repeats = max(runner.phase.repeats for runner in runners)
        self._rng = torch.Generator(device)
        self._part_rng = torch.Generator(device)  # where batches are split

    def run(
        self,
        step: int,
        seed: int,
        batch_of: Callable[[int, int], Batch],
        log: Callable[[str, Tensor], None],
        *,
        total_steps: int = 1,
        epoch: float = 0.0,
        stop: Callable[[str], None] = lambda reason: None,
        private_of: Callable[[int], PrivateBatch] | None = None,
    ) -> None:
        """Run one step.

        Args:
            step: steps completed before this one.
            seed: the step's seed, for the generator that phases draw from.
            batch_of: ``(repeat, part) -> Batch``, part in ``range(all_parts)``.
            log: called with a name and a scalar for losses, gradient norms and trainer logs.
            total_steps: of the training.
            epoch: passes over the data before this step.
            stop: called with the reason, if the trainer wants to end the training.
            private_of: what a private phase sees, by its repeat.
        """
        self._rng.manual_seed(seed)

        def state_for(
            repeat: int,
            scratch: dict[str, Any],
            log: Callable[[str, Tensor], None] = log,
            part: int = 0,
            rows: int = 0,
        ) -> StepState:
            split = bool(rows) and self.all_parts > 1
            return StepState(
                step=step,
                repeat=repeat,
                parts=self.accumulate,
                rng=self._part_rng if split else self._rng,
                scratch=scratch,
                _log=log,
                total_steps=total_steps,
                epoch=epoch,
                _stop=stop,
                part=part,
                all_parts=self.all_parts,
                rows=rows,
                whole_rng=self._rng if split else None,
            )

        batches: dict[tuple[int, int], Batch] = {}
        scratches: dict[tuple[int, int], dict[str, Any]] = {}
        for runner in self.runners:
            if not runner.runs_at(step):
                continue
            if runner.phase.optimizer.scheduled:
                lr = learning_rate(runner.phase.optimizer, step, self.schedule_steps)
                for group in runner.optimizer.param_groups:
                    group["lr"] = lr
            for repeat in range(runner.phase.repeats):
                runner.forget_gradients()  # what a failed step left
                runner.guard.remember_buffers()
                if runner.clipped is not None and private_of is not None:
                    make_state = functools.partial(state_for, repeat)
                    self._private(runner, runner.clipped, private_of(repeat), make_state, log)
                    self._update(runner, [], log)
                    continue
                losses = []
                heard: list[tuple[str, Tensor]] = []
                hear = log if self.processes.size == 1 else _into(heard)
                drawn = self._rng.get_state() if self.all_parts > 1 else None
                for number in range(self.accumulate):
                    part = self.processes.rank * self.accumulate + number
                    if drawn is not None:
                        # Each part draws for the whole batch, and keeps its rows. What networks
                        # draw by themselves, such as dropout, differs from part to part.
                        self._rng.set_state(drawn)
                        own = derive_seed(seed, runner.phase.name, repeat, part)
                        self._part_rng.manual_seed(own)
                        seed_global(own, self.device)
                    key = (repeat, part)
                    if key not in batches:
                        batches[key] = batch_of(repeat, part)
                        scratches[key] = {}
                    rows = len(batches[key]["samples"])
                    state = state_for(repeat, scratches[key], hear, part, rows)
                    losses.append(self._backward(runner, batches[key], state))
                if self.processes.size > 1:
                    losses = self._share(runner, losses, heard, log)
                self._update(runner, losses, log)
        if self.all_parts > 1:
            seed_global(seed, self.device)
        with torch.no_grad():
            self.after_step(state_for(0, {}))

    def _backward(self, runner: PhaseRunner, batch: Batch, state: StepState) -> Tensor:
        """Add one part's gradients to the phase's own parameters, and to no others."""
        phase = runner.phase
        loss, values = self._loss(phase, batch, state)
        if not loss.requires_grad:
            raise _reaches_nothing(phase)
        # inputs=… accumulates gradients in this phase's parameters alone: the other networks are
        # in effect frozen, autograd skips the work for them, and graphs that a later phase of the
        # step back-propagates through stay intact.
        share = loss if self.all_parts == 1 else loss / self.all_parts
        share.backward(inputs=runner.parameters)  # type: ignore[no-untyped-call]
        for name, value in values.items():
            state.log(name, value)
        return loss.detach()

    def _loss(
        self, phase: Phase, batch: Batch, state: StepState
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return a phase's loss on a batch, and what to log of it by name."""
        with autocast(self.device, self.precision):
            terms: object = phase.loss(batch, state)
            if isinstance(terms, Tensor):
                terms = {phase.name: terms}
            if not isinstance(terms, Mapping) or not terms:
                raise ConfigError(
                    f"The loss of phase '{phase.name}' gave {type(terms).__name__}; it should give "
                    "a scalar tensor, or several by name."
                )
            floats = [term.float() for term in terms.values()]
            alone = len(floats) == 1 and floats[0].dim() == 0
            loss = floats[0] if alone else torch.stack(floats).sum()
        values = {f"loss/{phase.name}": loss.detach()}
        if len(terms) > 1:
            values |= {f"loss/{phase.name}/{name}": term.detach() for name, term in terms.items()}
        return loss, values

    def _private(
        self,
        runner: PhaseRunner,
        clipped: ClippedGradients,
        seen: PrivateBatch,
        make_state: Callable[..., StepState],
        log: Callable[[str, Tensor], None],
    ) -> None:
        """Set a private phase's gradients: a noisy sum, divided by what batches have on average."""

        def terms(
            batch: Batch, log: Callable[[str, Tensor], None]
        ) -> tuple[Tensor, dict[str, Tensor]]:
            return self._loss(runner.phase, batch, make_state({}, log))

        total = {parameter: torch.zeros_like(parameter) for parameter in runner.parameters}
        for batch in seen.parts:
            sums, logged = clipped.sum(terms, batch)
            for parameter, summed in sums.items():
                total[parameter] += summed
            for name, value in logged.items():
                log(name, value)
        for parameter, gradient in total.items():
            noise = torch.randn(gradient.shape, generator=self._rng, device=self.device)
            parameter.grad = gradient.add_(noise, alpha=seen.noise).div_(seen.average)

    @torch.no_grad()
    def _share(
        self,
        runner: PhaseRunner,
        losses: list[Tensor],
        heard: list[tuple[str, Tensor]],
        log: Callable[[str, Tensor], None],
    ) -> list[Tensor]:
        """Sum what all processes found: one all-reduce, before norm and guard.

        Gradients are divided by the number of parts already; losses and what was logged become
        means. So what is not finite in one process is not finite in any, and all skip the update.
        """
        processes = self.processes
        values = [*losses, *(value.to(self.device, torch.float32) for _, value in heard)]
        means = torch.stack(values) / processes.size
        buffers = runner.guard.shares(first=processes.first, processes=processes.size)
        gradients = [p.grad for p in runner.parameters if p.grad is not None]
        processes.sum([*gradients, means, *(share for _, share in buffers)])
        for buffer, share in buffers:
            buffer.copy_(share)
        for (name, _), mean in zip(heard, means[len(losses) :], strict=True):
            log(name, mean)
        return list(means[: len(losses)])

    def _update(
        self, runner: PhaseRunner, losses: list[Tensor], log: Callable[[str, Tensor], None]
    ) -> None:
        """Clip, then step unless a loss or gradient is not finite; decided on the device."""
        phase = runner.phase
        gradients = [p.grad for p in runner.parameters if p.grad is not None]
        if not gradients:
            raise _reaches_nothing(phase)
        norm = torch.nn.utils.get_total_norm(gradients)
        if phase.optimizer.clip_grad_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(
                runner.parameters, phase.optimizer.clip_grad_norm, norm
            )
        skip = runner.guard.check([norm, *losses])
        if self.device.type == "mps":  # its fused kernels ignore found_inf (pytorch #186360)
            if not skip.item():
                runner.optimizer.step()
        else:
            update(runner.optimizer, runner.parameters, skip)
        runner.forget_gradients()
        log(f"gradient_norm/{phase.name}", norm)


def _into(heard: list[tuple[str, Tensor]]) -> Callable[[str, Tensor], None]:
    return lambda name, value: heard.append((name, value.detach()))


def _reaches_nothing(phase: Phase) -> ConfigError:
    return ConfigError(
        f"The loss of phase '{phase.name}' reaches no parameter of {', '.join(phase.updates)}, "
        "which it should train."
    )

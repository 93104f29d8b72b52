"""Reading a training's state from networks, optimisers and counters, and restoring it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn
from torch.optim import Optimizer

from aigc_core.engine.metrics import Meter
from aigc_core.engine.optimizers import state_keys
from aigc_core.engine.step import PhaseRunner
from aigc_core.errors import ConfigError, RunError, shown
from aigc_core.interfaces import Trainer
from aigc_core.state import Outcome, State

STATE = "state"
"""Name of ``Trainer.state`` among the modules of a checkpoint."""


class Scalars(BaseModel):
    """The counters a checkpoint must have; other keys are ignored."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    step: int = Field(ge=0, le=10**9)
    samples_per_step: int = Field(ge=1)
    train_seconds: float = Field(ge=0)
    logged: tuple[int, float] = Field(strict=False)
    meter_counts: dict[str, int]
    processes: int = Field(default=1, ge=1)
    noise_multiplier: float | None = Field(default=None, ge=0)
    validations: Outcome = Field(default_factory=Outcome, strict=False)


def read_scalars(state: State) -> Scalars:
    """Return a state's counters.

    Raises:
        RunError: one is missing or not valid; names the first.
    """
    try:
        found = Scalars.model_validate(dict(state.scalars))
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise RunError(f"The checkpoint's state.json is not valid, at '{place}'.") from None
    sums = below(state.tensors, "meter/")
    for name, count in found.meter_counts.items():
        if count < 1 or name not in sums or sums[name].dim():
            raise RunError(f"The checkpoint's mean of '{shown(name)}' is not there, or no mean.")
    return found


def renaming(networks: Mapping[str, nn.Module]) -> Callable[[str], str]:
    """Return a function that maps a tensor's name in an older checkpoint to its current name.

    A network, or a module within it, may list its old parameter names in ``former_names``:
    regular expressions that match whole names, with their replacements.
    """
    rules = []
    for network, module in networks.items():
        for prefix, part in module.named_modules():
            for old, new in getattr(part, "former_names", {}).items():
                above = f"{prefix}." if prefix else ""
                rules.append((network, re.compile(re.escape(above) + old), above + new))

    def renamed(name: str) -> str:
        # <network>.<name>; ema.<name>; phase/<phase>/<network>.<name>/<key>
        match = re.fullmatch(r"((?:phase/[^/]+/)?)([^./]+)\.([^/]+)((?:/[^/]+)?)", name)
        if match is None:
            return name
        phase, owner, parameter, key = match.groups()
        for network, old, new in rules:
            if owner in (network, "ema") and (found := old.fullmatch(parameter)):
                return f"{phase}{owner}.{found.expand(new)}{key}"
        return name

    return renamed


def below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names start with ``prefix``, without it."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def saved_modules(trainer: Trainer) -> dict[str, nn.Module]:
    """Return everything of a trainer that a checkpoint holds: its networks, and its state.

    Raises:
        ConfigError: a network has the name of the state.
    """
    modules = dict(trainer.networks())
    state = trainer.state()
    if state is not None:
        if STATE in modules:
            raise ConfigError(f"A network cannot be named '{STATE}' beside Trainer.state().")
        modules[STATE] = state
    return modules


def saved_state(module: nn.Module) -> dict[str, Tensor]:
    """Return the live tensors of a module that checkpoints hold.

    A module may list names in ``unsaved``, whose tensors never change and come from elsewhere.
    """
    unsaved = getattr(module, "unsaved", ())
    return {name: value for name, value in module.state_dict().items() if name not in unsaved}


def weights_of(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Return the live weights of modules as ``<module>.<name>``."""
    return {
        f"{name}.{key}": value
        for name, module in modules.items()
        for key, value in saved_state(module).items()
    }


def tensors_of(runners: Sequence[PhaseRunner], meter: Meter) -> dict[str, Tensor]:
    """Return the live tensors of optimisers, guards and the unfinished log interval's sums."""
    tensors = {f"meter/{name}": value for name, value in meter.sums.items()}
    for runner in runners:
        prefix = f"phase/{runner.phase.name}/"
        tensors[f"{prefix}guard"] = runner.guard.counts
        saved = optimizer_state(runner.optimizer, runner.names)
        tensors |= {f"{prefix}{name}": value for name, value in saved.items()}
    return tensors


def put_back(
    state: State,
    modules: Mapping[str, nn.Module],
    runners: Sequence[PhaseRunner],
    meter: Meter,
) -> None:
    """Copy a state's tensors back into place; on an error, none of them.

    Raises:
        RunError: the state belongs to other phases, optimisers or networks.
    """
    for runner in runners:
        own = below(state.tensors, f"phase/{runner.phase.name}/")
        if "guard" not in own:
            raise RunError(f"The checkpoint has no phase '{runner.phase.name}'.")
        if own["guard"].shape != (2,) or not own["guard"].is_floating_point():
            raise RunError(f"The checkpoint's counts of phase '{runner.phase.name}' are no counts.")
        optimizer = {name: value for name, value in own.items() if name != "guard"}
        check_optimizer_state(runner.optimizer, runner.names, optimizer)
    load_weights(modules, state.weights)
    for runner in runners:
        own = below(state.tensors, f"phase/{runner.phase.name}/")
        runner.guard.counts = own.pop("guard").to(runner.guard.counts.device, copy=True)
        restore_optimizer(runner.optimizer, runner.names, own)
    sums, counts = below(state.tensors, "meter/"), state.scalars["meter_counts"]
    meter.sums = {name: sums[name].to(meter.device, copy=True) for name in counts}
    meter.counts = dict(counts)


@torch.no_grad()
def load_weights(modules: Mapping[str, nn.Module], weights: Mapping[str, Tensor]) -> None:
    """Copy ``<module>.<name>`` weights into modules, in place; on an error, none of them.

    Raises:
        RunError: names or shapes differ; the message gives the first.
    """
    own = weights_of(modules)
    for name in sorted(set(own) ^ set(weights)):
        where = "lacks" if name in own else "has"
        raise RunError(f"The checkpoint does not fit the model: it {where} '{name}'.")
    for name, value in own.items():
        if value.shape != weights[name].shape:
            raise RunError(
                f"The checkpoint does not fit the model: '{name}' has the shape "
                f"{tuple(weights[name].shape)} there and {tuple(value.shape)} here."
            )
    for name, value in own.items():
        value.copy_(weights[name])


def optimizer_state(optimizer: Optimizer, names: Mapping[Tensor, str]) -> dict[str, Tensor]:
    """Return an optimiser's tensors as ``<parameter>/<key>``; only those that exist yet."""
    return {
        f"{names[parameter]}/{key}": value
        for parameter, values in optimizer.state.items()
        for key, value in values.items()
        if isinstance(value, Tensor)
    }


def check_optimizer_state(
    optimizer: Optimizer, names: Mapping[Tensor, str], tensors: Mapping[str, Tensor]
) -> None:
    """Raise ``RunError`` unless the state fits this kind of optimiser and these parameters."""
    found: dict[str, set[str]] = {}
    shapes = {name: parameter.shape for parameter, name in names.items()}
    for full_name, tensor in tensors.items():
        name, _, key = full_name.rpartition("/")
        if name not in shapes:
            raise RunError(f"The checkpoint has optimiser state for '{name}', which is not there.")
        if not tensor.is_floating_point():
            raise RunError(f"The checkpoint's optimiser state of '{name}' is of {tensor.dtype}.")
        if not _is_state_of(shapes[name], tensor.shape, counter=key == "step"):
            raise RunError(f"The checkpoint's optimiser state of '{name}' has another shape.")
        found.setdefault(name, set()).add(key)
    ranks = {len(shapes[name]) for name in found}
    expected = {dims: state_keys(optimizer, dims) for dims in ranks}
    for name, keys in found.items():
        if keys != expected[len(shapes[name])]:
            raise RunError(
                "The checkpoint was written with another optimiser than "
                f"{type(optimizer).__name__}: it has {', '.join(sorted(keys))} for '{name}'."
            )


def _is_state_of(parameter: torch.Size, found: torch.Size, *, counter: bool) -> bool:
    """Whether an optimiser may keep such a tensor: a counter, or one with reduced dimensions."""
    if counter or not found:
        return not found
    sizes = zip(found, parameter, strict=False)
    return len(found) == len(parameter) and all(n in (1, size) for n, size in sizes)


@torch.no_grad()
def restore_optimizer(
    optimizer: Optimizer, names: Mapping[Tensor, str], tensors: Mapping[str, Tensor]
) -> None:
    """Restore what ``optimizer_state`` returned, each tensor in its own type, device and layout.

    ``load_state_dict`` would cast to the parameter's type and lose channels_last strides
    (pytorch #103256); fused kernels need both right. Call ``check_optimizer_state`` first.
    """
    by_name = {name: parameter for parameter, name in names.items()}
    optimizer.state.clear()
    for full_name, tensor in tensors.items():
        name, _, key = full_name.rpartition("/")
        parameter = by_name[name]
        if tensor.shape == parameter.shape and tensor.dim() > 0:
            restored = torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)
        else:
            restored = tensor.to(parameter.device, copy=True)
        optimizer.state[parameter][key] = restored

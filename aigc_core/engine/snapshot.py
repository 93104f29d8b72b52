"""What phases, means and weights are made of, taken out as a state and put back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from aigc_core.engine.meter import Meter
from aigc_core.engine.optimizers import (
    check_optimizer_state,
    optimizer_state,
    restore_optimizer,
)
from aigc_core.engine.state import EngineState, below, load_weights
from aigc_core.engine.step import PhaseRunner
from aigc_core.errors import RunError


def weights_of(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Return the live weights of modules as ``<module>.<name>``."""
    return {
        f"{name}.{key}": value
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }


def tensors_of(runners: Sequence[PhaseRunner], meter: Meter) -> dict[str, Tensor]:
    """Return the live tensors of optimisers, guards and the means of an unfinished interval."""
    tensors = {f"meter/{name}": value for name, value in meter.sums.items()}
    for runner in runners:
        prefix = f"phase/{runner.phase.name}/"
        tensors[f"{prefix}guard"] = runner.guard.counts
        saved = optimizer_state(runner.optimizer, runner.names)
        tensors |= {f"{prefix}{name}": value for name, value in saved.items()}
    return tensors


def put_back(
    state: EngineState,
    modules: Mapping[str, nn.Module],
    runners: Sequence[PhaseRunner],
    meter: Meter,
) -> None:
    """Copy a state's tensors back to where they came from; all or, on an error, none.

    Raises:
        RunError: the state is of other phases, optimisers or networks.
    """
    for runner in runners:
        own = below(state.tensors, f"phase/{runner.phase.name}/")
        if "guard" not in own:
            raise RunError(f"The checkpoint has no phase '{runner.phase.name}'.")
        if own["guard"].shape != (2,) or not own["guard"].is_floating_point():
            raise RunError(f"The checkpoint's counts of phase '{runner.phase.name}' are no counts.")
        optimizer = {name: value for name, value in own.items() if name != "guard"}
        check_optimizer_state(runner.phase.optimizer, runner.names, optimizer)
    load_weights(modules, state.weights)
    for runner in runners:
        own = below(state.tensors, f"phase/{runner.phase.name}/")
        runner.guard.counts = own.pop("guard").to(runner.guard.counts.device, copy=True)
        restore_optimizer(runner.optimizer, runner.names, own)
    sums, counts = below(state.tensors, "meter/"), state.scalars["meter_counts"]
    meter.sums = {name: sums[name].to(meter.device, copy=True) for name in counts}
    meter.counts = dict(counts)

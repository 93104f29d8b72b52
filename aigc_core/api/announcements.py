"""What is said of a training as it begins: how it is shared, how private, what has changed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from torch.nn.modules.batchnorm import _BatchNorm

from aigc_core.api.provenance import environment_changes
from aigc_core.engine import Engine
from aigc_core.engine.accountant import PrivacyAccount
from aigc_core.engine.normalization import SharedBatchNorm
from aigc_core.errors import RunError
from aigc_core.files import typed
from aigc_core.runs import Run

logger = logging.getLogger("aigc")


def say_how_shared(engine: Engine) -> None:
    """Say how processes share batches, and what of that can change a result."""
    processes = engine.processes
    normalized = any(
        isinstance(module, _BatchNorm)
        and not isinstance(module, SharedBatchNorm)
        and module.training
        for network in engine.networks.values()
        for module in network.modules()
    )
    logger.info(
        "%d processes, each with %d of a batch's %d samples%s.",
        processes.size,
        engine.config.batch_size // processes.size,
        engine.config.batch_size,
        "; batch normalisation sees only its own process's (engine.shared_batch_norm=true: all)"
        if normalized
        else "",
    )


def say_of_another_number(engine: Engine) -> None:
    """Say that another number of processes resumes a training."""
    logger.warning(
        "The checkpoint is of a training with %s, and it is resumed with %s: the result can "
        "differ in rounding, and in what batch normalisation and dropout see.",
        _processes(engine.former_processes),
        _processes(engine.processes.size),
    )


def _processes(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"


def say_how_private(account: PrivacyAccount) -> None:
    """Say what a private training promises, and on what that depends."""
    if not account.noise:
        logger.warning("Without noise the training is not private: epsilon is infinite.")
        return
    logger.warning(
        "Noise and choice of samples follow from engine.seed: who knows it can take the noise off. "
        "Leave --seed out for a random one, and give nothing of the run away but its weights."
    )
    logger.info(
        "Private: each step sees %.3g %% of the samples at random, noise multiplier %.4g; at most "
        "epsilon %.4g at delta %g, for each sample. Logged losses are not covered by it.",
        100 * account.rate,
        account.noise,
        account.spent(account.affordable),
        account.config.delta,
    )


def warn_of_jumps(run: Run, engine: Engine, former: int) -> None:
    """Warn if the rate jumps up because the schedule now ends later, and say how to avoid it."""
    for phase, last, now in engine.schedule_jumps(former):
        logger.warning(
            "The learning rate of '%s' was %.3g and jumps to %.3g: its schedule ended at step %s "
            "and now ends at %s. To keep the rate that it ended with: aigc resume %s --steps %d "
            "--keep-schedule",
            phase,
            last,
            now,
            f"{former:,}",
            f"{engine.total_steps:,}",
            typed(run.path),
            engine.total_steps,
        )


def warn_of_another_machine(run: Run, engine: Engine, now: Mapping[str, Any]) -> None:
    """Warn of anything that keeps the result from being bit-identical to an uninterrupted run."""
    try:
        changed = environment_changes(run.environment, now)
    except RunError as error:
        logger.warning("%s What the run was started on is not known.", error)
        return
    if changed:
        logger.warning(
            "%s was started on something else: %s. The result can differ in rounding.",
            run.path,
            "; ".join(changed),
        )
    if engine.device.type == "cuda" and not engine.config.deterministic:
        logger.warning("Without engine.deterministic, results of a GPU differ in rounding.")

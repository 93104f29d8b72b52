"""Starts the processes that train one run together, with PyTorch's elastic launcher.

Each of them is ``aigc resume`` of the run. So one that is started again after another has died
resumes from the newest checkpoint like anybody else.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import uuid
from collections.abc import Sequence

from aigc_core.config import EngineConfig
from aigc_core.errors import ConfigError, Terminated, TrainingError
from aigc_core.files import typed
from aigc_core.runs import Run

_ELASTIC = "torch.distributed.elastic"


def check_launch(config: EngineConfig, nproc: int) -> None:
    """Check that this machine can train with ``nproc`` processes.

    Raises:
        ConfigError: they cannot share a batch, or need more GPUs than there are.
    """
    if nproc < 1:
        raise ConfigError(
            f"nproc={nproc} is no number of processes: give 1, or as many as there are GPUs."
        )
    from aigc_core.engine.device import check_device
    from aigc_core.engine.distributed import check_divides

    check_device(config.device, nproc)
    check_divides(config, nproc)


def check_restarts(nproc: int | None, max_restarts: int) -> None:
    """Raise ``ConfigError`` for restarts of less than nothing, or of this process itself."""
    if max_restarts < 0:
        raise ConfigError(f"max_restarts={max_restarts} is below 0.")
    if max_restarts and nproc in (None, 1):
        raise ConfigError("max_restarts starts several processes again: give nproc, too.")


def threads_each(nproc: int) -> int:
    """Return how many threads each of ``nproc`` processes computes with, if nothing else is set."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdecimal() and int(given):
        return int(given)
    return max(1, _cores() // nproc)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def launch(run: Run, nproc: int, arguments: Sequence[str], max_restarts: int = 0) -> None:
    """Train a run with several processes on this machine, and wait for them.

    They print, and write to the run. Signals that ask for an end are passed on to them.

    Args:
        run: to be resumed; it needs no checkpoint.
        nproc: how many processes.
        arguments: of ``aigc``, without the program's name.
        max_restarts: how often all are started again after one of them has failed.

    Raises:
        Terminated: they failed, or were stopped by a signal; with their exit code.
        TrainingError: one of them was killed.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=nproc,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=max_restarts,
        logs_specs=DefaultLogsSpecs(log_dir=os.devnull),
    )
    known = [name for name in logging.root.manager.loggerDict if name.startswith(_ELASTIC)]
    levels = {logger: logger.level for logger in map(logging.getLogger, known)}
    threads = os.environ.get("OMP_NUM_THREADS")
    handlers = {number: signal.getsignal(number) for number in _handled()}
    for logger in levels:
        logger.setLevel(logging.CRITICAL)  # the processes speak for themselves
    os.environ["OMP_NUM_THREADS"] = str(threads_each(nproc))
    try:
        elastic_launch(config, sys.executable)("-m", "aigc_core", *arguments)
    except SignalException as stop:
        raise Terminated(128 + stop.sigval) from None
    except ChildFailedError as failed:
        rank, first = failed.get_first_failure()
        if first.exitcode > 0:
            raise Terminated(first.exitcode) from None  # it has said why
        raise TrainingError(
            f"Process {rank} of {nproc} was ended by {first.signal_name()}. The newest checkpoint "
            f"is of step {run.step}. Resume with: aigc resume {typed(run.path)} --nproc {nproc}"
        ) from None
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)
        if threads is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = threads
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _handled() -> list[int]:
    names = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT")  # those that the launcher takes over
    return [getattr(signal, name) for name in names if hasattr(signal, name)]

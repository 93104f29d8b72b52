"""Tries, before a training of minutes, what computes it fastest on this machine."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from aigc_core.api.blueprint import Assembly, Blueprint
from aigc_core.config import EngineConfig, cache_folder
from aigc_core.config.schema import TunedConfig
from aigc_core.engine import Engine
from aigc_core.engine.device import (
    has_convolutions,
    machine_name,
    native_bf16,
    shown_threads,
    wait_for,
)
from aigc_core.errors import AigcError, Interrupted
from aigc_core.files import write_text_atomically
from aigc_core.interfaces import SampleStore

logger = logging.getLogger("aigc")
FILE = "tuned.json"
"""In the cache: what was found, by what was asked."""
WORTH_SECONDS = 60.0
"""Shorter trainings are not tuned."""
SHARE, MOST_SECONDS = 0.03, 20.0
"""Of a training's time, at most this is spent on trials, and never more seconds."""
GAIN = 1.05
"""How much faster than the default something has to be."""
_FEWEST_STEPS = 200
_WARM_UP, _TIMED = 2, 3  # steps of a trial


def tuned(
    blueprint: Blueprint, store: SampleStore, assembly: Assembly
) -> tuple[Blueprint, Assembly]:
    """Return both with what is fastest on this machine; the same if nothing is tried.

    Trials train engines of their own, so nothing of the training is touched. Nothing is tried if
    ``engine.tune`` is off, everything is set already, or the training is a short or a private one.
    """
    config, engine = blueprint.config.engine, assembly.engine
    tries = config.tune == "auto" and config.tuned is None and not engine.private
    if not tries or engine.total_steps < _FEWEST_STEPS or not _axes(engine, config):
        return blueprint, assembly
    key = _key(blueprint, store, engine.device)
    found = _remembered(key)
    if found is None:
        try:
            found = _measured(blueprint, store, engine.total_steps)
        except Exception as error:  # of a plugin, or no memory left: training says what it is
            logger.debug("Nothing was tuned: %s", error)
        if found is None:
            return blueprint, assembly
        _remember(key, found)
    logger.info("Fastest on this machine: %s.", _words(found, engine.device))
    blueprint = _with(blueprint, config.model_copy(update={"tuned": found}))
    return blueprint, blueprint.engine(store)


def _words(found: TunedConfig, device: torch.device) -> str:
    layout = ["channels_last"] if found.channels_last else []
    threads = [shown_threads(found.threads)] if device.type == "cpu" else []
    return ", ".join([found.precision, *layout, *threads])


def _with(blueprint: Blueprint, config: EngineConfig) -> Blueprint:
    return replace(blueprint, config=blueprint.config.model_copy(update={"engine": config}))


def _engine(blueprint: Blueprint, store: SampleStore, config: EngineConfig) -> Engine:
    """Return an engine that only trains."""
    only = {
        "steps": _FEWEST_STEPS,
        "epochs": None,
        "validation_samples": 0,
        "validation_metrics": (),
        "standard": None,
        "patience": None,
        "max_time": None,
    }
    return _with(blueprint, config.model_copy(update=only)).engine(store).engine


def _axes(engine: Engine, config: EngineConfig) -> list[dict[str, Any]]:
    """Return what else may be tried, one thing at a time."""
    axes: list[dict[str, Any]] = []
    if config.channels_last is None and has_convolutions(engine.networks.values()):
        axes.append({"channels_last": not engine.channels_last})
    if config.precision == "auto" and native_bf16(engine.device):
        axes.append({"precision": "fp32"})
    if engine.device.type == "cpu" and torch.get_num_threads() > 1:
        axes.append({"threads": max(1, torch.get_num_threads() // 2)})
    return axes


def _measured(blueprint: Blueprint, store: SampleStore, total: int) -> TunedConfig | None:
    """Time the default and, greedily, what else there is; None if that is not worth it."""
    config, started = blueprint.config.engine, time.perf_counter()
    engine = _engine(blueprint, store, config)
    best = TunedConfig(
        machine=machine_name(engine.device),
        precision=engine.precision,
        channels_last=engine.channels_last,
        threads=torch.get_num_threads(),
    )
    axes = _axes(engine, config)
    default = seconds = _seconds_per_step(engine)
    del engine
    if default * total < WORTH_SECONDS:
        return None
    limit = min(MOST_SECONDS, SHARE * default * total)
    for change in axes:
        if time.perf_counter() - started + (_WARM_UP + _TIMED) * default > limit:
            break
        other = best.model_copy(update=change)
        trial = _engine(blueprint, store, config.model_copy(update={"tuned": other}))
        needed = _seconds_per_step(trial)
        del trial
        if needed * GAIN < seconds:
            best, seconds = other, needed
    return best


def _seconds_per_step(engine: Engine) -> float:
    """Return the median time of a few steps, after a few that are not timed."""
    times = []
    for step in range(1, _WARM_UP + _TIMED + 1):
        started = time.perf_counter()
        result = engine.fit(until_step=step)
        wait_for(engine.device)
        if result.signal is not None:
            raise Interrupted("Stopped before the training began.", result.signal)
        times.append(time.perf_counter() - started)
    return sorted(times[_WARM_UP:])[_TIMED // 2]


def _key(blueprint: Blueprint, store: SampleStore, device: torch.device) -> str:
    """Return a digest of what the speed depends on."""
    config = blueprint.config
    what = {
        "machine": machine_name(device),
        "recipe": config.recipe,
        "model": config.model.model_dump(mode="json"),
        "trainer": config.trainer.model_dump(mode="json"),
        "shapes": {name: list(array.shape[1:]) for name, array in sorted(store.arrays.items())},
        **{
            name: getattr(config.engine, name)
            for name in ("batch_size", "accumulate", "precision", "channels_last")
        },
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def _file() -> Path:
    return cache_folder() / FILE


def _read() -> dict[str, Any]:
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remembered(key: str) -> TunedConfig | None:
    try:
        return TunedConfig.model_validate(_read()[key])
    except (KeyError, ValueError):
        return None


def _remember(key: str, found: TunedConfig) -> None:
    everything = _read() | {key: found.model_dump(mode="json")}
    try:
        _file().parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(_file(), json.dumps(everything, indent=1, sort_keys=True) + "\n")
    except (OSError, AigcError) as error:
        logger.debug("What is fastest could not be remembered: %s", error)

"""A run without what only its training needs: what is exported and imported.

It has no optimiser, discriminator, metrics or previews, and names no place on the machine where it
was trained.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from torch import Tensor

from aigc_core.api.lineage import PARENTS, Trained, blueprint_of, load_trained
from aigc_core.engine import saved_modules, saved_state
from aigc_core.errors import RunError
from aigc_core.interfaces import Discriminator
from aigc_core.runs import Run
from aigc_core.runs.checkpoint import WEIGHTS
from aigc_core.runs.folder import CONFIG, DATASET, ENVIRONMENT
from aigc_core.runs.inside import read_file
from aigc_core.runs.manifest import MANIFEST, checkpoint_folder, describe_files, weights_digest
from aigc_core.runs.outcome import SCALARS
from aigc_core.strict_yaml import dump_yaml

logger = logging.getLogger("aigc")
_KEPT_OF_ENVIRONMENT = (
    "started", "aigc_core", "plugins", "needs", "python", "torch", "device", "precision", "threads",
    "cpu",
)  # fmt: skip


class Portable(NamedTuple):
    """A run's files, as bytes by their path below its folder, and where its weights are."""

    files: dict[str, bytes]
    step: int

    @property
    def checkpoint(self) -> str:
        """The path of the checkpoint's folder."""
        return checkpoint_path(self.step)


def checkpoint_path(step: int) -> str:
    """Return the path of a step's checkpoint below a run's folder."""
    return checkpoint_folder(Path("checkpoints"), step).as_posix()


def weights_of_networks(loaded: Trained) -> dict[str, Tensor]:
    """Return ``<network>.<name>`` of all networks but discriminators, on the CPU.

    The generator's are the averaged ones, where there are any.
    """
    return {
        f"{name}.{key}": on_cpu(value)
        for name, module in saved_modules(loaded.parts.trainer).items()
        if not isinstance(module, Discriminator)
        for key, value in saved_state(module).items()
    }


def on_cpu(tensor: Tensor) -> Tensor:
    """Return a copy that is contiguous, on the CPU, and shares no memory."""
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)


def portable(run: Run, step: int) -> Portable:
    """Return what is needed to draw from a run, wherever that is done, with that of its parents.

    Raises:
        RunError: the run or a parent is damaged.
        PluginError: a plugin that they need is not there.
    """
    loaded = load_trained(run, blueprint_of(run), torch.device("cpu"), step)
    files: dict[str, bytes] = {}
    parents = {}
    for name, reference in (run.config.get("parents") or {}).items():
        inner = portable(Run(run.path / PARENTS / name), reference["step"])
        files |= {f"{PARENTS}/{name}/{path}": data for path, data in inner.files.items()}
        essential = (CONFIG, DATASET, f"{inner.checkpoint}/{MANIFEST}")
        digests = [hashlib.sha256(inner.files[path]).digest() for path in essential]
        whole = hashlib.sha256(b"".join(digests)).hexdigest()
        parents[name] = {**reference, "run": Path(reference["run"]).name, "sha256": whole}
    scalars = _scalars(run, step)
    kept = {
        WEIGHTS: safetensors.torch.save(weights_of_networks(loaded)),
        SCALARS: (json.dumps(scalars, indent=2) + "\n").encode(),
    }
    kept[MANIFEST] = manifest(kept, weights_digest(run.checkpoints, step))
    checkpoint = checkpoint_path(step)
    files |= {f"{checkpoint}/{name}": data for name, data in kept.items()}
    files[CONFIG] = dump_yaml(_config(run.config, parents)).encode()
    files[DATASET] = read_file(run.path / DATASET, 256 << 20)
    files[ENVIRONMENT] = (json.dumps(_environment(run), indent=2) + "\n").encode()
    return Portable(files, step)


def manifest(files: Mapping[str, bytes], origin: str) -> bytes:
    """Return a checkpoint's manifest that says of which weights these are an excerpt."""
    found = json.loads(describe_files(files))
    found["files"][WEIGHTS]["origin"] = origin
    return (json.dumps(found, indent=2) + "\n").encode()


def _config(config: Mapping[str, Any], parents: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration without paths, adapters, which are merged, and secrets."""
    left_out = {"parents", "initial"}
    found = {name: value for name, value in config.items() if name not in left_out}
    found["dataset"] = {**found["dataset"], "root": None}
    found["engine"] = {**found["engine"], "lora": None}
    if (config.get("trainer") or {}).get("privacy") is not None:
        del found["engine"]["seed"]  # its noise follows from it
    return found | ({"parents": dict(parents)} if parents else {})


def _environment(run: Run) -> dict[str, Any]:
    try:
        known = run.environment
    except RunError:
        return {}
    return {name: known[name] for name in _KEPT_OF_ENVIRONMENT if name in known}


def _scalars(run: Run, step: int) -> dict[str, Any]:
    found: dict[str, Any] = {"step": step, "train_seconds": run.train_seconds}
    best = run.best if run.best is not None and run.best.step == step else None
    outcome = {"best": best, "ending": run.ending}
    kept = {n: v.model_dump(mode="json") for n, v in outcome.items() if v is not None}
    return found | ({"validations": kept} if kept else {})

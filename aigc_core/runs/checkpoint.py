"""Checkpoints: whole or not there, verified when read, never trusted because they are newest."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from aigc_core.errors import RunError, StorageError, reason
from aigc_core.files import sync_folder, whole_folder
from aigc_core.runs.manifest import (
    MANIFEST,
    checkpoint_folder,
    checkpoint_steps,
    describe_files,
    read_verified,
)
from aigc_core.runs.outcome import SCALARS

WEIGHTS, TENSORS = "weights.safetensors", "state.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds, read back on the CPU."""

    step: int
    path: Path
    weights: Mapping[str, Tensor]
    tensors: Mapping[str, Tensor]
    scalars: Mapping[str, Any]


def save_checkpoint(
    checkpoints: Path,
    step: int,
    *,
    weights: Mapping[str, Tensor],
    tensors: Mapping[str, Tensor],
    scalars: Mapping[str, Any],
    keep: int,
    spare: Collection[int] = (),
) -> Path:
    """Write a checkpoint so that a crash at any moment leaves the older ones whole.

    Files go to a temporary folder and are synced, the manifest last; the folder is renamed and its
    parent synced; only then are older checkpoints beyond ``keep`` removed, but those of the steps
    in ``spare``.

    Raises:
        StorageError: it could not be written; the older checkpoints stand.
    """
    target = checkpoint_folder(checkpoints, step)
    if not (target / MANIFEST).exists():
        _write(checkpoints, target, weights, tensors, scalars)
    for old in checkpoint_steps(checkpoints)[:-keep]:
        if old != step and old not in spare:
            shutil.rmtree(checkpoint_folder(checkpoints, old), ignore_errors=True)
    return target


def _write(
    checkpoints: Path,
    target: Path,
    weights: Mapping[str, Tensor],
    tensors: Mapping[str, Tensor],
    scalars: Mapping[str, Any],
) -> None:
    files = {
        WEIGHTS: safetensors.torch.save(_on_cpu(weights)),
        TENSORS: safetensors.torch.save(_on_cpu(tensors)),
        SCALARS: (json.dumps(scalars, indent=2) + "\n").encode(),
    }
    files[MANIFEST] = describe_files(files).encode()
    try:
        checkpoints.mkdir(exist_ok=True)
        _remove_leftovers(checkpoints)
        if target.exists():  # without a manifest: never completed, so nobody's
            shutil.rmtree(target)
        with whole_folder(target) as folder:
            for name, data in files.items():
                with open(folder / name, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            sync_folder(folder)
    except OSError as error:
        last = max(checkpoint_steps(checkpoints), default=None)
        rest = "there is no older one" if last is None else f"the one of step {last} is whole"
        raise StorageError(
            f"Could not write the checkpoint {target}: {reason(error)}; {rest}."
        ) from error


def load_checkpoint(checkpoints: Path, warn: Callable[[str], None]) -> Checkpoint | None:
    """Read the newest checkpoint that verifies, or return None where there never was one.

    Newer ones that are damaged are set aside and told to ``warn``.

    Raises:
        RunError: there are checkpoints and none verifies, or one cannot be read; none was moved.
    """
    found = _newest_whole(checkpoints, (WEIGHTS, TENSORS, SCALARS))
    if found is None:
        return None
    for folder, problem in found.damaged:
        aside = _set_aside(folder)
        warn(f"The checkpoint {folder} is damaged ({problem}); it was moved to {aside.name}.")
    return Checkpoint(
        found.step,
        checkpoint_folder(checkpoints, found.step),
        safetensors.torch.load(found.files[WEIGHTS]),
        safetensors.torch.load(found.files[TENSORS]),
        json.loads(found.files[SCALARS]),
    )


def load_weights_only(
    checkpoints: Path, warn: Callable[[str], None], step: int | None = None
) -> tuple[int, dict[str, Tensor]]:
    """Return ``(step, weights)`` of the newest checkpoint whose weights verify, or of one step.

    Only reads.

    Raises:
        RunError: there is none, or that of the step is damaged.
    """
    found = _newest_whole(checkpoints, (WEIGHTS,), step)
    if found is None:
        raise RunError(f"There is no complete checkpoint in {checkpoints}.")
    for folder, problem in found.damaged:
        warn(f"The checkpoint {folder} is damaged ({problem}); an older one is used.")
    return found.step, safetensors.torch.load(found.files[WEIGHTS])


@dataclass(frozen=True)
class _Found:
    step: int
    files: dict[str, bytes]
    damaged: list[tuple[Path, str]]


def _newest_whole(
    checkpoints: Path, names: tuple[str, ...], only: int | None = None
) -> _Found | None:
    """Find the newest checkpoint whose files verify, and the damaged ones before it.

    With ``only`` no other step's will do.
    """
    damaged: list[tuple[Path, str]] = []
    for step in reversed(checkpoint_steps(checkpoints)) if only is None else [only]:
        folder = checkpoint_folder(checkpoints, step)
        try:
            return _Found(step, read_verified(folder, names), damaged)
        except ValueError as error:
            damaged.append((folder, str(error)))
        except OSError as error:
            raise RunError(f"Cannot read the checkpoint {folder}: {reason(error)}.") from None
    if damaged:
        if only is not None:
            folder, problem = damaged[0]
            raise RunError(f"The checkpoint {folder} is damaged ({problem}). Choose another one.")
        told = "; ".join(f"{folder.name}: {problem}" for folder, problem in damaged)
        raise RunError(f"No checkpoint in {checkpoints} is whole ({told}). Nothing was changed.")
    return None


def _on_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy to plain contiguous CPU tensors that share nothing."""
    return {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }


def _set_aside(folder: Path) -> Path:
    aside, number = folder.with_name(f"{folder.name}.damaged"), 2
    while aside.exists():
        aside, number = folder.with_name(f"{folder.name}.damaged-{number}"), number + 1
    folder.rename(aside)
    return aside


def _remove_leftovers(checkpoints: Path) -> None:
    """Remove what a killed process was still writing; the run's lock says it is not at work."""
    for leftover in checkpoints.glob(".step-*"):
        shutil.rmtree(leftover, ignore_errors=True)

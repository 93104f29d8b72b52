"""Checkpoints: written atomically, verified when read, never trusted just for being newest."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from aigc_core.errors import RunError, StorageError, reason, shown
from aigc_core.files import atomic_folder, sync_folder
from aigc_core.runs.inside import (
    is_real_folder,
    make_real_folder,
    names_in,
    read_file,
    read_json,
)
from aigc_core.runs.manifest import (
    MANIFEST,
    checkpoint_folder,
    checkpoint_steps,
    describe_files,
    incomplete,
    is_excerpt,
    verify,
)
from aigc_core.runs.outcome import SCALARS
from aigc_core.runs.tensors import MAX_HEADER_BYTES, Header, read_header, total_bytes
from aigc_core.state import State

WEIGHTS, TENSORS = "weights.safetensors", "state.safetensors"


class Checkpoint:
    """What a checkpoint holds; tensors are read to the CPU on first use."""

    def __init__(self, step: int, path: Path, scalars: Mapping[str, Any]) -> None:
        self.step = step
        self.path = path
        self.scalars = scalars
        self.rename: Callable[[str], str] = lambda name: name
        """Maps a tensor's name in the files to its current one; to be set before any is read."""

    def header(self, name: str = WEIGHTS) -> Header:
        """Return a file's tensor names, types and shapes, without reading the tensors."""
        try:
            header = read_header(self.path / name)
        except ValueError as error:
            raise RunError(f"The checkpoint {self.path} is not valid ({error}).") from None
        return {self.rename(key): info for key, info in header.items()}

    @functools.cached_property
    def weights(self) -> dict[str, Tensor]:
        """The networks' weights."""
        return self._load(WEIGHTS)

    @functools.cached_property
    def tensors(self) -> dict[str, Tensor]:
        """All other tensors."""
        return self._load(TENSORS)

    def state(self) -> State:
        """Read and return the whole state."""
        return State(self.weights, self.tensors, self.scalars)

    def _load(self, name: str) -> dict[str, Tensor]:
        limit = total_bytes(self.header(name)) + MAX_HEADER_BYTES + 8
        tensors = _parsed(read_file(self.path / name, limit), self.path / name)
        return {self.rename(key): tensor for key, tensor in tensors.items()}


def save_checkpoint(
    checkpoints: Path, state: State, *, keep: int, spare: Collection[int] = ()
) -> Path:
    """Write a checkpoint so that a crash at any moment leaves the older ones whole.

    Files go to a temporary folder and are synced, the manifest last; the folder is renamed and its
    parent synced; only then are older checkpoints beyond ``keep`` removed, except those of the
    steps in ``spare``.

    Raises:
        StorageError: it could not be written; the older checkpoints are untouched.
    """
    step = int(state.scalars["step"])
    target = checkpoint_folder(checkpoints, step)
    if step not in checkpoint_steps(checkpoints):
        _write(checkpoints, target, state)
    for old in checkpoint_steps(checkpoints)[:-keep]:
        if old != step and old not in spare:
            _prune(checkpoints, old)
    return target


def _write(checkpoints: Path, target: Path, state: State) -> None:
    files = {
        WEIGHTS: safetensors.torch.save(_on_cpu(state.weights)),
        TENSORS: safetensors.torch.save(_on_cpu(state.tensors)),
        SCALARS: (json.dumps(state.scalars, indent=2) + "\n").encode(),
    }
    files[MANIFEST] = describe_files(files).encode()
    try:
        make_real_folder(checkpoints)
        _remove_leftovers(checkpoints)
        if is_real_folder(target):  # without a manifest: never completed
            _remove(target)
        with atomic_folder(target) as folder:
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
    """Open the newest checkpoint that verifies, or return None if there never was one.

    Newer ones that are damaged are set aside and reported to ``warn``.

    Raises:
        RunError: the folder is gone, no checkpoint in it verifies, or one cannot be read; none was
            moved.
    """
    if is_excerpt(checkpoints):
        raise RunError(
            f"{checkpoints.parent} was imported, without what its training would need, so it "
            "cannot be resumed. Start a new run from its weights with: aigc train RECIPE "
            f"--init-from {shlex.quote(str(checkpoints.parent))}"
        )
    found = _newest_whole(checkpoints, (WEIGHTS, TENSORS, SCALARS))
    if found is None:
        if not is_real_folder(checkpoints):
            raise RunError(
                f"{checkpoints} is gone, and the checkpoints with it. To start from step 0, make "
                "an empty folder there."
            )
        if others := incomplete(checkpoints):
            raise RunError(
                f"No checkpoint in {checkpoints} is complete: {', '.join(others[:5])}. To start "
                "from step 0, move them away."
            )
        return None
    folder = checkpoint_folder(checkpoints, found.step)
    scalars = read_json(folder / SCALARS)
    if scalars.get("step", found.step) != found.step:
        raise RunError(f"{folder / SCALARS} is of step {shown(scalars['step'])}: it was replaced.")
    for damaged, problem in found.damaged:
        aside = _set_aside(damaged)
        warn(f"The checkpoint {damaged} is damaged ({problem}); it was moved to {aside.name}.")
    return Checkpoint(found.step, folder, scalars)


def open_weights(
    checkpoints: Path, warn: Callable[[str], None], step: int | None = None
) -> Checkpoint:
    """Open the newest checkpoint whose weights verify, or the one of a given step. Only reads.

    Raises:
        RunError: there is none, or the one of the step is damaged.
    """
    found = _newest_whole(checkpoints, (WEIGHTS,), step)
    if found is None:
        raise RunError(f"There is no complete checkpoint in {checkpoints}.")
    for folder, problem in found.damaged:
        warn(f"The checkpoint {folder} is damaged ({problem}); an older one is used.")
    folder = checkpoint_folder(checkpoints, found.step)
    try:
        scalars = read_json(folder / SCALARS)
    except (FileNotFoundError, RunError):
        scalars = {}
    return Checkpoint(found.step, folder, scalars)


@dataclass(frozen=True)
class _Found:
    step: int
    damaged: list[tuple[Path, str]]


def _newest_whole(
    checkpoints: Path, names: tuple[str, ...], only: int | None = None
) -> _Found | None:
    """Find the newest checkpoint whose files verify, and the newer ones that are damaged.

    With ``only``, consider only that step's checkpoint.
    """
    damaged: list[tuple[Path, str]] = []
    for step in reversed(checkpoint_steps(checkpoints)) if only is None else [only]:
        folder = checkpoint_folder(checkpoints, step)
        try:
            verify(folder, names)
            return _Found(step, damaged)
        except ValueError as error:
            damaged.append((folder, str(error)))
    if damaged:
        if only is not None:
            folder, problem = damaged[0]
            raise RunError(f"The checkpoint {folder} is damaged ({problem}). Choose another one.")
        listed = "; ".join(f"{folder.name}: {problem}" for folder, problem in damaged)
        raise RunError(f"No checkpoint in {checkpoints} is whole ({listed}). Nothing was changed.")
    return None


def _parsed(data: bytes, path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load(data)
    except Exception as error:  # its own errors, and torch's for types it cannot hold
        raise RunError(f"{path} is not valid: {' '.join(str(error).split())}.") from None


def _on_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy to plain contiguous CPU tensors that share no memory."""
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
    """Remove what a killed process was still writing; the run's lock ensures none is active."""
    for name in names_in(checkpoints):
        if name.startswith(".step-"):
            _remove(checkpoints / name)


def _remove(folder: Path) -> None:
    """Remove a checkpoint: only the files it should have, and nothing that a link points to."""
    with contextlib.suppress(OSError):
        if folder.is_symlink():
            os.unlink(folder)
            return
        for name in (
            MANIFEST,
            WEIGHTS,
            TENSORS,
            SCALARS,
        ):  # manifest first: without it, this is no longer a checkpoint
            with contextlib.suppress(FileNotFoundError):
                os.unlink(folder / name)
        os.rmdir(folder)


def _prune(checkpoints: Path, step: int) -> None:
    """Remove an old checkpoint; if killed halfway, nothing that looks complete is left."""
    folder = checkpoint_folder(checkpoints, step)
    aside = folder.with_name(f".{folder.name}.old")
    with contextlib.suppress(OSError):
        os.rename(folder, aside)
        _remove(aside)

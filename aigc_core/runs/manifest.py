"""A checkpoint's manifest: size and SHA-256 of every file, written last. Free of torch."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from aigc_core.errors import RunError
from aigc_core.runs.inside import (
    is_real_file,
    is_real_folder,
    json_object,
    names_in,
    open_file,
    read_file,
)

MANIFEST = "manifest.json"
MAX_STEP = 10**9
_FOLDER = re.compile(r"step-([0-9]{6,10})")
_BLOCK_BYTES = 1 << 20


def checkpoint_folder(checkpoints: Path, step: int) -> Path:
    """Return the path of a step's checkpoint."""
    return checkpoints / f"step-{step:06d}"


def checkpoint_steps(checkpoints: Path) -> list[int]:
    """Return the steps of the complete checkpoints in a folder, oldest first; [] without a folder.

    Raises:
        RunError: the folder, or a checkpoint's, is a link or cannot be read: it may hold
            checkpoints, and treating it as empty would restart the training.
    """
    steps = []
    for name in names_in(checkpoints):
        match = _FOLDER.fullmatch(name)
        if match is None or f"step-{int(match[1]):06d}" != name or int(match[1]) > MAX_STEP:
            continue
        folder = checkpoints / name
        if is_real_folder(folder) and is_real_file(folder / MANIFEST):
            steps.append(int(match[1]))
    return sorted(steps)


def incomplete(checkpoints: Path) -> list[str]:
    """Return the names that look like checkpoints but are not complete ones."""
    complete = {checkpoint_folder(checkpoints, step).name for step in checkpoint_steps(checkpoints)}
    return [n for n in names_in(checkpoints) if n.startswith("step-") and n not in complete]


def describe_files(files: Mapping[str, bytes]) -> str:
    """Return the manifest's text for files, given as name and content."""
    entries = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in files.items()
    }
    return json.dumps({"schema_version": 1, "files": entries}, indent=2) + "\n"


def verify(folder: Path, names: tuple[str, ...]) -> None:
    """Compare a checkpoint's files with its manifest, in little memory whatever their size.

    Raises:
        ValueError: something is damaged or missing; the message is to go in brackets.
        RunError: a file is a link, not a regular file, or cannot be read: that is not damage, so
            the checkpoint must not be set aside.
    """
    entries = _entries(folder)
    for name in names:
        entry = entries.get(name)
        if not isinstance(entry, dict) or not {"bytes", "sha256"} <= set(entry):
            raise ValueError(f"{MANIFEST} is incomplete")
        digest, size = hashlib.sha256(), 0
        try:
            with os.fdopen(open_file(folder / name), "rb") as file:
                there = os.fstat(file.fileno()).st_size
                if there != entry["bytes"]:
                    raise ValueError(f"{name} has {there} bytes, {entry['bytes']!r} were written")
                while block := file.read(_BLOCK_BYTES):
                    digest.update(block)
                    size += len(block)
        except FileNotFoundError:
            raise ValueError(f"{name} is missing") from None
        except OSError as error:
            raise RunError(f"Cannot read the checkpoint {folder}: {error}.") from None
        if digest.hexdigest() != entry["sha256"]:
            raise ValueError(f"{name} does not match its checksum")


def weights_digest(checkpoints: Path, step: int) -> str:
    """Return the SHA-256 of a checkpoint's weights, by which a run's samples name it.

    As its manifest says: nothing is read but that. Of an imported run, it is the digest of the
    weights that were exported.

    Raises:
        RunError: there is no such checkpoint, or its manifest is damaged.
    """
    folder = checkpoint_folder(checkpoints, step)
    try:
        weights = _entries(folder).get("weights.safetensors")
    except ValueError as error:
        raise RunError(f"The checkpoint {folder} is damaged ({error}).") from None
    digest = weights.get("origin", weights.get("sha256")) if isinstance(weights, dict) else None
    if not isinstance(digest, str):
        raise RunError(f"The checkpoint {folder} is damaged ({MANIFEST} is incomplete).")
    return digest


def is_excerpt(checkpoints: Path) -> bool:
    """Whether the newest checkpoint is of an imported run: weights without the training's state."""
    step = max(checkpoint_steps(checkpoints), default=None)
    try:
        entries = {} if step is None else _entries(checkpoint_folder(checkpoints, step))
    except (ValueError, RunError):
        return False
    weights = entries.get("weights.safetensors")
    return isinstance(weights, dict) and "origin" in weights


def _entries(folder: Path) -> dict[str, object]:
    is_real_folder(folder)
    try:
        data = read_file(folder / MANIFEST)
    except FileNotFoundError:
        raise ValueError(f"{MANIFEST} is missing") from None
    try:
        manifest = json_object(data, folder / MANIFEST)
    except RunError:
        raise ValueError(f"{MANIFEST} is not JSON") from None
    entries = manifest.get("files")
    if not isinstance(entries, dict):
        raise ValueError(f"{MANIFEST} is incomplete")
    return entries

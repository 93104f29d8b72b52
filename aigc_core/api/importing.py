"""``aigc import``: an exported folder becomes a run again. It may come from anybody."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import torch

from aigc_core.api.exporting import MODEL, SETTINGS
from aigc_core.api.lineage import blueprint_of, load_trained
from aigc_core.api.portable import checkpoint_path, manifest
from aigc_core.errors import AigcError, ConfigError, RunError, StorageError, reason
from aigc_core.files import atomic_folder
from aigc_core.runs import Run
from aigc_core.runs.checkpoint import WEIGHTS
from aigc_core.runs.create import check_free
from aigc_core.runs.folder import CONFIG, DATASET, ENVIRONMENT
from aigc_core.runs.inside import is_real_folder, read_file, read_json
from aigc_core.runs.manifest import MANIFEST, MAX_STEP
from aigc_core.runs.outcome import SCALARS
from aigc_core.runs.tensors import MAX_HEADER_BYTES, read_header, total_bytes

_RUN = (
    r"(config\.yaml|dataset\.json|environment\.json"
    r"|checkpoints/step-[0-9]{6,10}/(manifest\.json|state\.json|weights\.safetensors))"
)
_PARENT = re.compile(r"(parents/[a-z0-9]+(-[a-z0-9]+)*/){1,4}" + _RUN)
_TOP = {MODEL, SETTINGS, DATASET, SCALARS}
_MAX_FACTS_BYTES = 256 << 20


def import_run(folder: str | Path, *, out: str | Path | None = None) -> Run:
    """Make a run of a folder that ``aigc export --format hf-folder`` wrote.

    Every file that becomes part of the run is compared with its digest; others, such as the model
    card, are not read. Weights are safetensors, and nothing is unpickled. The run can be drawn
    from, be given as a parent or with ``--init-from``, and exported; it cannot be resumed.

    Args:
        folder: the exported folder.
        out: the run's folder, missing or empty; None for ``runs/imported/<the folder's name>``.

    Raises:
        RunError: it was not exported, or a file is missing, damaged or replaced.
        PluginError: it needs a plugin that is not there; the message says how to get it.
        StorageError: the run could not be written.
    """
    if str(folder).startswith("hf://"):
        raise ConfigError(
            f"{folder} is on a hub, and only folders are read. Download it, then import the folder."
        )
    source = Path(os.path.expanduser(folder))
    about = _about(source)
    target = Path(os.path.expanduser(out or Path("runs") / "imported" / source.resolve().name))
    check_free(target)
    step, files = about["step"], _read(source, about["files"])
    checkpoint = checkpoint_path(step)
    kept = {WEIGHTS: files.pop(MODEL), SCALARS: files.pop(SCALARS)}
    kept[MANIFEST] = manifest(kept, about["digest"])
    files[CONFIG] = files.pop(SETTINGS)
    files |= {f"{checkpoint}/{name}": data for name, data in kept.items()}
    try:
        with atomic_folder(target, last=CONFIG) as scratch:
            for path, data in files.items():
                (scratch / path).parent.mkdir(parents=True, exist_ok=True)
                (scratch / path).write_bytes(data)
            (scratch / "samples").mkdir()
            try:
                run = Run(scratch)
                load_trained(run, blueprint_of(run), torch.device("cpu"), step)
            except AigcError as error:
                raise type(error)(str(error).replace(str(scratch), str(source))) from None
    except OSError as error:
        raise StorageError(f"Could not write {target}: {reason(error)}.") from error
    return Run(target)


def _about(source: Path) -> dict[str, Any]:
    """Return what the folder's manifest says, checked.

    Raises:
        RunError: it is not there, or not as ``aigc export`` writes it.
    """
    if not is_real_folder(source):
        raise RunError(f"There is no folder {source}.")
    path = source / MANIFEST
    try:
        about = read_json(path)
    except FileNotFoundError:
        raise RunError(
            f"{source} was not exported by aigc: it has no {MANIFEST}. Make such a folder with: "
            "aigc export RUN --format hf-folder"
        ) from None
    step, files, digest = about.get("step"), about.get("files"), about.get("digest")
    if about.get("schema_version") != 1 or not isinstance(files, dict) or not _is_digest(digest):
        raise RunError(f"{path} is not that of an exported run, or of a newer version of aigc.")
    if not isinstance(step, int) or isinstance(step, bool) or not 0 <= step <= MAX_STEP:
        raise RunError(f"{path} is damaged, at 'step'.")
    for missing in sorted(_TOP - set(files)):
        raise RunError(f"{path} does not list {missing}.")
    for name, entry in files.items():
        known = name in _TOP | {ENVIRONMENT} or _PARENT.fullmatch(name)
        if not known or not isinstance(entry, dict) or not _is_digest(entry.get("sha256")):
            raise RunError(f"{path} lists '{name:.100}', which no exported run has.")
    return about


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value) is not None


def _read(source: Path, entries: dict[str, Any]) -> dict[str, bytes]:
    """Read the listed files, following no link, and compare them with their digests."""
    found = {}
    for name, entry in entries.items():
        path = source / name
        for folder in list(path.relative_to(source).parents)[-2::-1]:
            is_real_folder(source / folder)
        try:
            limit = _MAX_FACTS_BYTES
            if name.endswith(".safetensors"):
                limit = total_bytes(read_header(path)) + MAX_HEADER_BYTES + 8
            data = read_file(path, limit)
        except FileNotFoundError:
            raise RunError(f"{path} is missing, and the manifest lists it.") from None
        except ValueError as error:
            raise RunError(f"{path} is damaged ({error}).") from None
        if hashlib.sha256(data).hexdigest() != entry["sha256"]:
            raise RunError(f"{path} is not what was exported: its digest is another.")
        found[name] = data
    return found

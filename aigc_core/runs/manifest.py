"""A checkpoint's manifest: size and SHA-256 of every file, written last. Free of torch."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

MANIFEST = "manifest.json"
_FOLDER = re.compile(r"step-(\d{6,})")


def checkpoint_folder(checkpoints: Path, step: int) -> Path:
    """Return where the checkpoint of a step stands."""
    return checkpoints / f"step-{step:06d}"


def checkpoint_steps(checkpoints: Path) -> list[int]:
    """Return the steps of the complete checkpoints in a folder, oldest first."""
    if not checkpoints.is_dir():
        return []
    matches = [_FOLDER.fullmatch(path.parent.name) for path in checkpoints.glob(f"*/{MANIFEST}")]
    return sorted(int(match[1]) for match in matches if match)


def describe_files(files: Mapping[str, bytes]) -> str:
    """Return the manifest's text for files given by name and content."""
    entries = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in files.items()
    }
    return json.dumps({"schema_version": 1, "files": entries}, indent=2) + "\n"


def read_verified(folder: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    """Read files of a checkpoint, each compared with the manifest.

    Raises:
        ValueError: what is damaged or missing, in brackets of a sentence.
        OSError: a file that is there and cannot be read: not damage, and not to be set aside.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        entries = manifest["files"]
        contents = {}
        for name in names:
            data = (folder / name).read_bytes()
            if len(data) != entries[name]["bytes"]:
                raise ValueError(
                    f"{name} has {len(data)} bytes, {entries[name]['bytes']} were written"
                )
            if hashlib.sha256(data).hexdigest() != entries[name]["sha256"]:
                raise ValueError(f"{name} does not match its checksum")
            contents[name] = data
    except FileNotFoundError as error:
        raise ValueError(f"{Path(error.filename or folder).name} is missing") from None
    except (KeyError, TypeError):
        raise ValueError(f"{MANIFEST} is incomplete") from None
    except json.JSONDecodeError:
        raise ValueError(f"{MANIFEST} is not JSON") from None
    return contents

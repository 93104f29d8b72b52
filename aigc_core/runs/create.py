"""Creating a run's folder, complete or not at all."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aigc_core.errors import RunError, StorageError, reason
from aigc_core.files import atomic_folder, write_text_atomically
from aigc_core.runs.facts import DatasetFacts
from aigc_core.runs.folder import CONFIG, DATASET, ENVIRONMENT, Run
from aigc_core.strict_yaml import dump_yaml


def new_run_path(recipe: str, parent: Path = Path("runs")) -> Path:
    """Return ``runs/<recipe>/<local time>`` for a new run, with a suffix if that is taken."""
    stamp = datetime.datetime.now().strftime("%Y-%m-%dT%H-%M-%S")
    folder = parent / recipe.replace("/", "-")
    path, number = folder / stamp, 2
    while path.exists():
        path, number = folder / f"{stamp}-{number}", number + 1
    return path


def check_free(path: Path) -> None:
    """Raise ``RunError`` unless ``path`` can hold a new run: it is missing, or an empty folder."""
    try:
        if (path / CONFIG).exists():
            raise RunError(
                f"{path} already holds a run. Go on with it: aigc resume {path}. "
                "Or choose another folder with --out."
            )
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise RunError(f"{path} is not an empty folder. Choose another one with --out.")
    except OSError as error:
        raise RunError(f"{path} cannot be a run's folder: {reason(error)}.") from None


def create_run(
    path: Path,
    *,
    config: Mapping[str, Any],
    dataset: DatasetFacts,
    environment: Mapping[str, Any],
    kept: Mapping[str, bytes] | None = None,
) -> Run:
    """Create a run's folder with its three files; on an error nothing is left behind.

    Args:
        path: of the folder.
        config: resolved and complete.
        dataset: facts of the data.
        environment: of this machine.
        kept: further files, by their paths below the folder.

    Raises:
        RunError: the folder is taken.
        StorageError: it cannot be written.
    """
    check_free(path)
    try:
        with atomic_folder(path, last=CONFIG) as folder:
            facts = {DATASET: dataset.model_dump(mode="json"), ENVIRONMENT: dict(environment)}
            for name, data in facts.items():
                write_text_atomically(folder / name, json.dumps(data, indent=2) + "\n")
            for inner, content in (kept or {}).items():
                (folder / inner).parent.mkdir(parents=True, exist_ok=True)
                with open(folder / inner, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            (folder / "checkpoints").mkdir()
            (folder / "samples").mkdir()
            write_text_atomically(folder / CONFIG, dump_yaml(dict(config)))
    except OSError as error:
        raise StorageError(f"Cannot make the run folder {path}: {reason(error)}.") from error
    return Run(path)

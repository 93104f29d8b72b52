"""A run's folder: made whole or not at all, opened by name, locked while it trains.

Free of torch, so that ``aigc runs`` answers at once.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import filelock

from aigc_core.config.layers import read_config_file
from aigc_core.errors import RunError, StorageError, did_you_mean
from aigc_core.runs.manifest import checkpoint_steps
from aigc_core.runs.metrics import MetricsFile
from aigc_core.strict_yaml import dump_yaml, load_yaml, sync_folder, write_text_atomically

CONFIG, DATASET, ENVIRONMENT = "config.yaml", "dataset.json", "environment.json"


class Run:
    """One training, and its folder."""

    def __init__(self, path: Path) -> None:
        """Point at a folder; see ``open_run`` for one that is checked."""
        self.path = path

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @functools.cached_property
    def config(self) -> dict[str, Any]:
        """The resolved configuration, as plain data."""
        path = self.path / CONFIG
        read_config_file(path)  # checks form and schema version
        data = load_yaml(path)
        if not isinstance(data, dict) or not isinstance(data.get("recipe"), str):
            raise RunError(f"{path} names no recipe; it was not written by aigc, or was edited.")
        return data

    @property
    def recipe(self) -> str:
        """Name of the recipe that was trained."""
        return str(self.config["recipe"])

    @functools.cached_property
    def dataset(self) -> dict[str, Any]:
        """Facts of the data: ``spec``, ``count``, ``label_names``."""
        return self._json(DATASET)

    @functools.cached_property
    def environment(self) -> dict[str, Any]:
        """Versions and machine on which the run was started."""
        return self._json(ENVIRONMENT)

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def samples(self) -> Path:
        """Folder of the previews drawn during training."""
        return self.path / "samples"

    @property
    def metrics(self) -> MetricsFile:
        """The metrics logged so far."""
        return MetricsFile(self.path / "metrics.jsonl")

    @property
    def step(self) -> int:
        """Step of the newest checkpoint; 0 without one."""
        return max(checkpoint_steps(self.checkpoints), default=0)

    @property
    def total_steps(self) -> int:
        """Steps after which the run is complete."""
        return int(self.config["engine"]["steps"])

    @property
    def status(self) -> str:
        """``training`` (a process holds it), ``complete`` or ``unfinished``."""
        if self.step >= self.total_steps:
            return "complete"
        return "training" if self._is_locked() else "unfinished"

    @property
    def latest_preview(self) -> Path | None:
        """The newest preview of samples, if there is one."""
        found = sorted(self.samples.glob("step-*")) if self.samples.is_dir() else []
        return found[-1] if found else None

    def update_config(self, config: Mapping[str, Any]) -> None:
        """Replace ``config.yaml``, as when a run is extended."""
        write_text_atomically(self.path / CONFIG, dump_yaml(dict(config)))
        self.__dict__.pop("config", None)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run, so that no two processes train it at once.

        Raises:
            RunError: another process holds it.
        """
        lock = filelock.FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise RunError(f"{self.path} is being trained by another process.") from None
        except OSError as error:
            raise StorageError(f"Cannot write in {self.path}: {error.strerror}.") from error
        try:
            yield
        finally:
            lock.release()

    def _is_locked(self) -> bool:
        if not (self.path / ".lock").exists():
            return False
        try:
            with self.locked():
                return False
        except RunError:
            return True

    def _json(self, name: str) -> dict[str, Any]:
        path = self.path / name
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise RunError(f"Cannot read {path}: {error.strerror}.") from None
        except ValueError:
            raise RunError(f"{path} is damaged: not JSON.") from None
        if not isinstance(data, dict):
            raise RunError(f"{path} is damaged: expected an object.")
        return data


def new_run_path(recipe: str, parent: Path = Path("runs")) -> Path:
    """Return ``runs/<recipe>/<local time>`` for a new run, with a suffix where that is taken."""
    stamp = datetime.datetime.now().strftime("%Y-%m-%dT%H-%M-%S")
    folder = parent / recipe.replace("/", "-")
    path, number = folder / stamp, 2
    while path.exists():
        path, number = folder / f"{stamp}-{number}", number + 1
    return path


def check_free(path: Path) -> None:
    """Raise ``RunError`` unless a new run may be made at ``path``: missing, or an empty folder."""
    if (path / CONFIG).exists():
        raise RunError(
            f"{path} already holds a run. Go on with it: aigc resume {path}. "
            "Or choose another folder with --out."
        )
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RunError(f"{path} is not an empty folder. Choose another one with --out.")


def create_run(
    path: Path,
    *,
    config: Mapping[str, Any],
    dataset: Mapping[str, Any],
    environment: Mapping[str, Any],
) -> Run:
    """Make a run's folder with its three files; on an error nothing is left behind.

    Raises:
        RunError: the folder is taken.
        StorageError: it cannot be written.
    """
    check_free(path)
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.")
        os.chmod(temporary, 0o755)
        folder = Path(temporary)
        write_text_atomically(folder / CONFIG, dump_yaml(dict(config)))
        write_text_atomically(folder / DATASET, json.dumps(dataset, indent=2) + "\n")
        write_text_atomically(folder / ENVIRONMENT, json.dumps(environment, indent=2) + "\n")
        (folder / "checkpoints").mkdir()
        (folder / "samples").mkdir()
        if path.exists():
            path.rmdir()  # empty, as checked; a rename onto it is not portable
        folder.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        raise StorageError(f"Cannot make the run folder {path}: {error.strerror}.") from error
    finally:
        if temporary is not None:  # there only if something failed before the rename
            shutil.rmtree(temporary, ignore_errors=True)
    return Run(path)


def find_runs(parent: Path = Path("runs")) -> list[Run]:
    """Return the runs below a folder, oldest first."""
    return [Run(path.parent) for path in sorted(parent.glob(f"*/*/{CONFIG}"))] + [
        Run(path.parent) for path in sorted(parent.glob(f"*/{CONFIG}"))
    ]


def open_run(name: str | Path, parent: Path = Path("runs")) -> Run:
    """Return the run at a path, absolute, relative, or below ``parent``.

    Raises:
        RunError: there is no run; names the nearest one.
    """
    for path in (Path(name), parent / name):
        if (path / CONFIG).is_file():
            run = Run(path)
            _ = run.recipe  # checks config.yaml
            return run
    known = [str(run.path) for run in find_runs(parent)]
    hint = did_you_mean(str(name), known) if known else " There is no run in ./runs yet."
    if Path(name).exists():
        raise RunError(f"{name} is not a run folder: it has no {CONFIG}.{hint}")
    raise RunError(f"There is no run at {name}.{hint}")

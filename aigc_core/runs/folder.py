"""A run's folder: opened by name, read, and locked while it trains.

Free of torch, so that ``aigc runs`` starts fast.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aigc_core.config.layers import Layer, read_config_file
from aigc_core.config.standard import StandardConfig
from aigc_core.errors import RunError, StorageError, did_you_mean, reason
from aigc_core.files import write_text_atomically
from aigc_core.runs.facts import DatasetFacts
from aigc_core.runs.inside import is_real_file, names_in, read_file, read_json
from aigc_core.runs.manifest import checkpoint_steps
from aigc_core.runs.metrics import MetricsFile
from aigc_core.runs.outcome import read_outcome, read_train_seconds
from aigc_core.runs.record import Resumption
from aigc_core.state import Best, Ending
from aigc_core.strict_yaml import dump_yaml, load_yaml

CONFIG, DATASET, ENVIRONMENT = "config.yaml", "dataset.json", "environment.json"
RESUMPTION = ".resumed.json"
LOCK = ".lock"
MAX_FACTS_BYTES = 256 << 20
"""``dataset.json`` may hold a tokenizer and very many class names."""
_SCRATCH = re.compile(r"\.(config\.yaml|metrics\.jsonl|\.resumed\.json)\.[0-9a-f]{8}")
_SCRATCH_PREVIEW = re.compile(r"\.step-[0-9]+.*\.(tmp|[0-9a-f]{8})")
OLD_RESUMPTION = ".going-on"  # of version 0.1: a step whose ending no longer counts


class Run:
    """One training, and its folder."""

    def __init__(self, path: Path) -> None:
        """Point at a folder, without checking it; ``open_run`` does."""
        self.path = Path(os.path.abspath(os.path.expanduser(path)))

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @functools.cached_property
    def config(self) -> dict[str, Any]:
        """The resolved configuration, as plain data."""
        path = self.path / CONFIG
        is_real_file(path)
        read_config_file(path)  # checks form and schema version
        data = load_yaml(path)
        if not isinstance(data, dict) or not isinstance(data.get("recipe"), str):
            raise RunError(f"{path} names no recipe; it was not written by aigc, or was edited.")
        return data

    @property
    def layer(self) -> Layer:
        """The whole configuration as one layer; raises ``RunError`` if a section is missing."""
        sections = ("dataset", "model", "trainer", "engine")
        missing = [key for key in sections if key not in self.config]
        if missing:
            raise RunError(f"{self.path / CONFIG} lacks the section '{missing[0]}'.")
        return Layer(str(self.path), {key: self.config[key] for key in sections})

    @property
    def recipe(self) -> str:
        """Name of the recipe that was trained."""
        return str(self.config["recipe"])

    @functools.cached_property
    def dataset(self) -> DatasetFacts:
        """Facts about the training data; raises ``RunError`` if the file is damaged."""
        try:
            return DatasetFacts.model_validate(self._json(DATASET))
        except ValidationError as error:
            place = ".".join(map(str, error.errors()[0]["loc"]))
            raise RunError(f"{self.path / DATASET} is damaged, at '{place}'.") from None

    @functools.cached_property
    def environment(self) -> dict[str, Any]:
        """The versions and the machine that the run was started with."""
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
        """Steps after which the run is complete; raises ``RunError`` if the file lacks them."""
        engine = self.config.get("engine")
        steps = engine.get("steps") if isinstance(engine, dict) else None
        if not isinstance(steps, int) or isinstance(steps, bool):
            raise RunError(f"{self.path / CONFIG} must give engine.steps, a whole number.")
        return steps

    @property
    def status(self) -> str:
        """``training`` (a process holds its lock), ``complete`` or ``unfinished``."""
        if self.step >= self.total_steps:
            return "complete"
        if self._is_locked():
            return "training"
        return "complete" if self.ending else "unfinished"

    @property
    def train_seconds(self) -> float:
        """Seconds of training up to the newest checkpoint; 0 without one."""
        return read_train_seconds(self.checkpoints)

    @property
    def best(self) -> Best | None:
        """The best validation so far, whose checkpoint is kept."""
        return read_outcome(self.checkpoints).best

    @property
    def ending(self) -> Ending | None:
        """Why it ended; None if it has not, or if its configuration now asks for more."""
        ending = read_outcome(self.checkpoints).ending
        if ending is None:
            return None
        resumed = self.resumption
        if resumed is not None and resumed.drops_ending and resumed.step == self.step:
            return None
        engine = self.config.get("engine")
        engine = engine if isinstance(engine, dict) else {}
        if ending.reason == "steps":
            return ending if self.step >= self.total_steps else None
        if ending.reason == "stopped":
            return ending
        if ending.reason == "patience":
            return ending if engine.get("patience") is not None else None
        if ending.reason == "time":
            return ending if engine.get("max_time") is not None else None
        try:
            standard = StandardConfig.model_validate(engine.get("standard"))
        except ValidationError:
            return None
        return ending if str(standard) == ending.standard else None

    @property
    def latest_preview(self) -> Path | None:
        """The newest preview of samples, if there is one; of several outputs, of the main one."""
        names = names_in(self.samples)
        matches = [re.match(r"step-([0-9]{6,10})(?![0-9])(-?)", name) for name in names]
        # Of several files of one step, the first by name, whatever order the folder lists them in.
        found = [(-int(m[1]), m[2], m.string) for m in matches if m]
        return self.samples / min(found)[2] if found else None

    def update_config(self, config: Mapping[str, Any]) -> None:
        """Replace ``config.yaml``, for instance when a run is extended."""
        write_text_atomically(self.path / CONFIG, dump_yaml(dict(config)))
        self.__dict__.pop("config", None)

    def update_environment(self, facts: Mapping[str, Any]) -> None:
        """Replace facts in ``environment.json``; for a run whose training begins only now."""
        known = {}
        with contextlib.suppress(RunError):
            known = self.environment
        text = json.dumps({**known, **facts}, indent=2) + "\n"
        write_text_atomically(self.path / ENVIRONMENT, text)
        self.__dict__.pop("environment", None)

    def resume_with(self, resumption: Resumption) -> None:
        """Record the settings of a resume and update ``config.yaml``; a crash loses nothing.

        The settings are recorded first, so that the next resume can complete an interrupted
        update. The checkpoint is not touched.

        Raises:
            StorageError: the folder cannot be written.
        """
        text = json.dumps(resumption.model_dump(mode="json"), indent=2) + "\n"
        write_text_atomically(self.path / RESUMPTION, text)
        if resumption.config != self.config:
            self.update_config(resumption.config)

    @property
    def resumption(self) -> Resumption | None:
        """What the last resume that changed settings, or dropped an ending, recorded; else None.

        Raises:
            RunError: the recording file is damaged.
        """
        path = self.path / RESUMPTION
        try:
            return Resumption.model_validate(read_json(path))
        except FileNotFoundError:
            pass
        except ValidationError:
            raise RunError(
                f"{path} is damaged. Remove it to resume with {CONFIG} as it is."
            ) from None
        try:  # of version 0.1
            step = int(read_file(self.path / OLD_RESUMPTION, 100))
            return Resumption(step=step, config=self.config, drops_ending=True)
        except (FileNotFoundError, ValueError):
            return None

    def remove_leftovers(self) -> None:
        """Remove scratch files of killed processes; the lock ensures that none is active."""
        for folder, pattern in ((self.path, _SCRATCH), (self.samples, _SCRATCH_PREVIEW)):
            for name in names_in(folder):
                if pattern.fullmatch(name):
                    with contextlib.suppress(OSError):  # such as a folder, which is not ours
                        os.unlink(folder / name)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the run, so that no two processes train it at once.

        Raises:
            RunError: another process holds the lock.
            StorageError: the folder cannot be written.
        """
        import filelock  # here, so that listings start fast

        is_real_file(self.path / LOCK)
        lock = filelock.FileLock(self.path / LOCK)
        with contextlib.ExitStack() as held:
            try:
                lock.acquire(timeout=1)  # a status query holds it for a moment
                held.callback(lock.release)
                held.enter_context(_held_folder(self.path))
            except (filelock.Timeout, BlockingIOError):
                raise RunError(f"{self.path} is being trained by another process.") from None
            except OSError as error:
                raise StorageError(f"Cannot write in {self.path}: {reason(error)}.") from error
            yield

    def _is_locked(self) -> bool:
        if not is_real_file(self.path / LOCK):
            return False
        import filelock

        try:
            with filelock.FileLock(self.path / LOCK, timeout=0):
                return False
        except filelock.Timeout:
            return True
        except OSError:  # somebody else's folder, where only they can train
            return False

    def _json(self, name: str) -> dict[str, Any]:
        path = self.path / name
        try:
            return read_json(path, MAX_FACTS_BYTES)
        except FileNotFoundError:
            raise RunError(f"Cannot read {path}: No such file or directory.") from None


@contextlib.contextmanager
def _held_folder(path: Path) -> Iterator[None]:
    """Lock the folder itself too, if the platform can: the lock file may be removed meanwhile.

    Raises:
        BlockingIOError: another process holds the lock.
    """
    try:
        import fcntl
    except ImportError:  # Windows, where an open file cannot be removed
        yield
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:  # a file system that cannot lock folders; there is still the lock file
            pass
        yield
    finally:
        os.close(handle)


def find_runs(parent: str | Path = Path("runs")) -> list[Run]:
    """Return the run at a folder and those up to two levels below it, sorted by path.

    Hidden and unreadable folders are left out. Links to runs are followed.
    """
    found, level = [], [Path(parent)]
    for _ in range(3):
        below: list[Path] = []
        for folder in level:
            if os.path.lexists(folder / CONFIG):
                found.append(folder)
                continue  # what is below a run, such as its parents, belongs to it
            with contextlib.suppress(OSError), os.scandir(folder) as entries:
                below += [
                    Path(entry.path)
                    for entry in entries
                    if not entry.name.startswith(".") and entry.is_dir()
                ]
        level = below
    return [Run(path) for path in sorted(set(found))]


def open_run(name: str | Path, parent: Path = Path("runs")) -> Run:
    """Return the run at a path: absolute, relative, or below ``parent``.

    Raises:
        RunError: there is no run; names one with a similar path.
    """
    for path in (Path(os.path.expanduser(name)), parent / name):
        with contextlib.suppress(OSError):  # such as a name that is too long
            if os.path.lexists(path / CONFIG):
                run = Run(path)
                _ = run.recipe, run.total_steps  # checks config.yaml
                return run
    known = [str(run.path) for run in find_runs(parent)]
    hint = did_you_mean(str(name), known) if known else " There is no run in ./runs yet."
    if os.path.exists(os.path.join(name, "aigc.yaml")):
        raise RunError(f"{name} was exported. Make a run of it with: aigc import {name}")
    if os.path.exists(name):
        raise RunError(f"{name} is not a run folder: it has no {CONFIG}.{hint}")
    raise RunError(f"There is no run at {name}.{hint}")

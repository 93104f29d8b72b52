"""The process of its own in which some checks run: started with a job, it answers in a file.

A fresh interpreter and not a fork: what a plugin keeps in memory does not come along, which is how
every process of a distributed training begins.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aigc_core.plugins import (
    DatasetSpec,
    ModalitySpec,
    PluginHost,
    PluginStatus,
    RecipeSpec,
    hookimpl,
)
from aigc_core.testing.isolation import IsolatedHost, load_module
from aigc_core.testing.results import Unavailable

TIMEOUT_S = 600.0
_START = (
    "import json, sys; job = json.load(sys.stdin); sys.path[:] = job['path']; "
    "from aigc_core.testing import child; child.answer(job)"
)
_TEMPORARY = ("TMPDIR", "TEMP", "TMP", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
"""Variables that name a folder for what may be lost. torch sets its own once it has chosen one."""
Answers = dict[str, dict[str, Any]]


class Specs:
    """A plugin as the specs that it registered."""

    def __init__(self, specs: dict[str, list[dict[str, Any]]]) -> None:
        self._specs = specs

    @hookimpl
    def aigc_register_modalities(self) -> list[ModalitySpec]:
        return [ModalitySpec.model_validate(spec) for spec in self._specs["modalities"]]

    @hookimpl
    def aigc_register_datasets(self) -> list[DatasetSpec]:
        return [DatasetSpec.model_validate(spec) for spec in self._specs["datasets"]]

    @hookimpl
    def aigc_register_recipes(self) -> list[RecipeSpec]:
        return [RecipeSpec.model_validate(spec) for spec in self._specs["recipes"]]


def describe_host(host: PluginHost, plugin: str) -> list[dict[str, Any]]:
    """Return, as JSON data, what another process needs to make such a host.

    ``plugin`` comes as the module that its entry point names, with its observers; the others, and
    one that was registered as an object, come as their specs.
    """
    tables: list[tuple[str, dict[str, Any]]] = [
        ("modalities", host.modalities),
        ("datasets", host.datasets),
        ("recipes", host.recipes),
    ]
    plugins = []
    for status in host.statuses.values():
        if status.state != "active":
            continue
        specs = {
            kind: [table[name].model_dump(mode="json") for name in getattr(status, kind)]
            for kind, table in tables
        }
        module = entry_module(host, status) if status.name == plugin else None
        plugins.append({"name": status.name, "module": module, "specs": specs})
    return plugins


def entry_module(host: PluginHost, status: PluginStatus) -> str | None:
    """Return what an entry point names or could name for a plugin; None for an object."""
    plugin = host.manager.get_plugin(status.name)
    if plugin is None or status.distribution is not None:
        return status.module
    return plugin.__name__ if isinstance(plugin, types.ModuleType) else None


def make_host(plugins: list[dict[str, Any]]) -> PluginHost:
    """Make the host that ``describe_host`` described; raise ``Unavailable`` if it cannot be."""
    host = IsolatedHost()
    for described in plugins:
        name, module = described["name"], described["module"]
        if module is not None:
            status = load_module(host, name, module)
        else:
            status = host.add(Specs(described["specs"]), name)
        if status.state != "active":
            raise Unavailable(
                f"In a process of its own the plugin '{name}' is not active: {status.error}"
            )
    return host


def ask(kind: str, folder: Path, **job: Any) -> Answers:
    """Run a job in a new process and return its answers by task.

    Args:
        kind: ``imports`` or ``tasks``; see ``answer``.
        folder: where the process may work; made when missing.
        **job: JSON data for it.

    Returns:
        For each task what it found, with ``error`` where it did not end well. A task without an
        answer was not reached: ``""`` then has the ``error`` of the process.
    """
    scratch = folder / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    job |= {"kind": kind, "path": sys.path, "folder": str(folder)}
    environment = os.environ | dict.fromkeys(_TEMPORARY, str(scratch))
    # Another order of sets than here: nobody's results may depend on it.
    environment["PYTHONHASHSEED"] = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    answers: Answers = {}
    try:
        done = subprocess.run(
            [sys.executable, "-c", _START],
            input=json.dumps(job),
            capture_output=True,
            text=True,
            env=environment,
            cwd=scratch,
            timeout=TIMEOUT_S,
            check=False,
        )
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        last = f": {lines[-1].strip()}" if lines else ""
        problem = f"The process ended with code {done.returncode}{last}"
    except subprocess.TimeoutExpired:
        problem = f"The process was still at work after {TIMEOUT_S:.0f} seconds."
    for task, found in _read(folder / "answers.jsonl"):
        answers[task] = found
    answers[""] = {"error": problem}
    return answers


def _read(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            task, found = json.loads(line)
            yield task, found


def answer(job: dict[str, Any]) -> None:
    """Do a job in this process; each task's answer is a line of ``answers.jsonl``."""
    tempfile.tempdir = None  # not what was asked for before the environment was made
    with open(Path(job["folder"], "answers.jsonl"), "a", encoding="utf-8") as file:

        def say(task: str, found: dict[str, Any]) -> None:
            file.write(json.dumps([task, found]) + "\n")
            file.flush()

        if job["kind"] == "imports":
            from aigc_core.testing.importing import do_imports

            do_imports(job, say)
        else:
            from aigc_core.testing.tasks import do_tasks

            do_tasks(job, say)

"""Starts the separate process for some checks: it gets a job and writes its answers to a file.

It is a fresh interpreter, not a fork: nothing that a plugin keeps in memory is inherited, just as
when a process of a distributed training starts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TIMEOUT_S = 600.0
_START = (
    "import json, sys; job = json.load(sys.stdin); sys.path[:] = job['path']; "
    "from aigc_core.testing.process import worker; worker.answer(job)"
)
_TEMPORARY = ("TMPDIR", "TEMP", "TMP", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
"""Variables that name a temporary folder. torch sets its own once it has chosen one."""
Answers = dict[str, dict[str, Any]]


def ask(kind: str, folder: Path, **job: Any) -> Answers:
    """Run a job in a new process and return its answers by task.

    Args:
        kind: ``imports`` or ``tasks``; see ``answer``.
        folder: where the process may work; created if missing.
        **job: JSON data for it.

    Returns:
        What each task found, with ``error`` if it failed. A task without an answer was not
        reached: ``""`` holds the ``error`` of the process.
    """
    scratch = folder / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    job |= {"kind": kind, "path": sys.path, "folder": str(folder)}
    environment = os.environ | dict.fromkeys(_TEMPORARY, str(scratch))
    # Sets are ordered differently than in this process: results must not depend on the order.
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

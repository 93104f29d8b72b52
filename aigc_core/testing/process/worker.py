"""Entry point of the process that ``ask`` starts."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any


def answer(job: dict[str, Any]) -> None:
    """Do a job in this process; each task's answer is a line of ``answers.jsonl``."""
    tempfile.tempdir = None  # forget a folder chosen earlier, so that TMPDIR counts
    with open(Path(job["folder"], "answers.jsonl"), "a", encoding="utf-8") as file:

        def say(task: str, found: dict[str, Any]) -> None:
            file.write(json.dumps([task, found]) + "\n")
            file.flush()

        if job["kind"] == "imports":
            from aigc_core.testing.process.importing import do_imports

            do_imports(job, say)
        else:
            from aigc_core.testing.process.tasks import do_tasks

            do_tasks(job, say)

"""Puts the toy plugins where they can be imported, and checks' processes into this one."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

sys.path.insert(0, str(Path(__file__).parent / "packages"))


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what checks ask of a process of its own be done here, in a fraction of the time.

    Whether imports are light cannot be seen from here, nor can the process a plugin is in tell it
    from another; both are checked with real processes elsewhere.
    """
    from aigc_core.testing.checks import networks as checks_networks
    from aigc_core.testing.process import ask, tasks

    monkeypatch.setattr(checks_networks, "UPDATES", 8)  # enough for networks of this size
    monkeypatch.setattr(ask, "ask", lambda kind, folder, **job: _ask(kind, folder, job))
    monkeypatch.setattr(tasks, "WriteAudit", _only_audit)


@pytest.fixture
def audit() -> Any:
    return _only_audit()


_audits: list[Any] = []


def _only_audit() -> Any:
    """One for all tests: an audit hook cannot be taken away."""
    from aigc_core.testing.process.audit import WriteAudit

    if not _audits:
        _audits.append(WriteAudit())
    return _audits[0]


def _ask(kind: str, folder: Path, job: dict[str, Any]) -> dict[str, Any]:
    from aigc_core.testing.process import tasks
    from aigc_core.testing.process.importing import COMMANDS, REGISTERING

    answers: dict[str, Any] = {"": {"error": "The process ended."}}
    if kind == "imports":
        light = {"torch": False, "disturbs": []}
        return answers | dict.fromkeys([*job["references"], *REGISTERING, COMMANDS], light)
    (folder / "tmp").mkdir(parents=True)
    before, tempfile.tempdir = tempfile.tempdir, str(folder / "tmp")
    try:
        for described in job["plugins"]:
            described["module"] = None  # variants are in no file
        with mock.patch.dict(os.environ):  # torch notes there which temporary folder it took
            os.environ.pop("TORCHINDUCTOR_CACHE_DIR", None)
            tasks.do_tasks({**job, "folder": str(folder)}, answers.__setitem__)
    finally:
        tempfile.tempdir = before
    return answers

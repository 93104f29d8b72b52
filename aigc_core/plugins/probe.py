"""Finds out in a child process what each plugin provides, or how it fails.

Used for listings: if a plugin exits, hangs or crashes while it is imported, only the child is
affected. This module, run with ``-m``, is that child.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import queue
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, TextIO

from aigc_core import _child
from aigc_core.errors import PluginError
from aigc_core.plugins.installed import as_argument
from aigc_core.plugins.loader import PluginHost
from aigc_core.plugins.options import HostOptions, host_options
from aigc_core.plugins.status import PluginStatus

logger = logging.getLogger("aigc")
NOTICE_AFTER_S = 3.0
GIVE_UP_AFTER_S = 10.0
"""Seconds that a plugin may take to load in a listing; importing torch takes about half of it."""
PATIENT_S = 60.0
"""Seconds it may take in a patient probe, say on a cold disk, and that Python may take to start."""
END_S = 5.0
"""Seconds that a process that has closed its output may take to end."""


def probe_plugins(
    options: HostOptions | None = None, *, patient: bool = False
) -> list[PluginStatus]:
    """Return the status of every installed plugin; no plugin is imported in this process.

    A plugin that ends or hangs the child is marked as an error, and the rest are tried again
    without it.

    Args:
        options: defaults to ``host_options()``.
        patient: give a plugin ``PATIENT_S`` to load instead of ``GIVE_UP_AFTER_S``.

    Raises:
        PluginError: ``--no-plugins`` names a plugin that is not installed, or the child ends or
            hangs before the first plugin.
    """
    options = dataclasses.replace(options or host_options(), strict=False)
    options.check_names()
    limit_s = PATIENT_S if patient else GIVE_UP_AFTER_S
    late = f"Importing it takes longer than {limit_s:.0f} seconds."
    culprits: dict[str, str] = {}  # key of a plugin -> how it ended the child
    while True:  # each attempt either finds one more culprit or is the last
        outcome = _attempt(options, culprits, limit_s, late)
        if isinstance(outcome, list):
            break
        culprits.update(outcome)
    for status in outcome:
        if status.error == late and not patient:  # perhaps just slow: `info` waits longer
            status.fix = f"aigc plugins info {as_argument(status.name)}"
    return sorted(outcome, key=lambda status: status.name)


def _attempt(
    options: HostOptions, culprits: dict[str, str], limit_s: float, late: str
) -> list[PluginStatus] | dict[str, str]:
    """Return all statuses, or which plugin kept the child from finishing, and how."""
    child = _child.take()
    assert child.stdin is not None
    assert child.stdout is not None
    with contextlib.suppress(OSError), child.stdin as pipe:  # if it has ended, we notice below
        pipe.write(json.dumps({"options": _to_json(options), "culprits": culprits}) + "\n")
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_forward, args=(child.stdout, lines), daemon=True).start()
    current: str | None = None
    try:
        while True:
            message = _next(lines, current, limit_s)
            if "loading" in message:
                current = message["loading"]
            elif "statuses" in message:
                return [PluginStatus(**status) for status in message["statuses"]]
            elif "late" in message:
                why, how = late, f"did not come to the first of them in {PATIENT_S:.0f} seconds"
                break
            else:
                why, how = _ending(child)
                break
    finally:
        child.kill()
        child.wait()
    if current is None:
        raise PluginError(
            f"The process in which plugins are tried out {how}. "
            f"See why with: {shlex.quote(sys.executable)} -P -m {__name__}"
        )
    return {current: why}


def _ending(child: subprocess.Popen[str]) -> tuple[str, str]:
    """Return how a child that went silent ended, worded for a plugin and for the child itself."""
    try:
        how = _how(child.wait(timeout=END_S))
    except subprocess.TimeoutExpired:  # a plugin closed the files of the whole process
        how = f"closed its output and went on, and was given up after {END_S:.0f} seconds"
        return f"The process in which it is imported {how}.", how
    return f"Importing it ended the whole process, {how}.", f"ended before the first of them, {how}"


def _next(lines: queue.Queue[str], current: str | None, limit_s: float) -> dict[str, Any]:
    """Wait for the child's next message: ``{}`` at end of output, ``late`` on a timeout."""
    try:
        if current is None:  # Python itself is still starting, perhaps on a slow disk
            line = lines.get(timeout=PATIENT_S)
        else:
            try:
                line = lines.get(timeout=NOTICE_AFTER_S)
            except queue.Empty:
                logger.warning("Waiting for the plugin '%s' to load. Ctrl-C ends this.", current)
                line = lines.get(timeout=limit_s - NOTICE_AFTER_S)
    except queue.Empty:
        return {"late": current}
    return dict(json.loads(line)) if line else {}


def _forward(pipe: TextIO, lines: queue.Queue[str]) -> None:
    """Pass on lines until the pipe closes; a process forked by a plugin may keep it open."""
    with pipe:
        for line in pipe:
            lines.put(line)
    lines.put("")


def _how(code: int) -> str:
    """Return in words how a process ended."""
    if code >= 0:
        return f"with exit code {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"


def _to_json(options: HostOptions) -> dict[str, Any]:
    return dict(json.loads(json.dumps(dataclasses.asdict(options), default=str)))


def _from_json(data: dict[str, Any]) -> HostOptions:
    for key, value in data.items():
        if isinstance(value, list):
            data[key] = tuple(value)
    if data.get("registry") is not None:
        data["registry"] = Path(data["registry"])
    return HostOptions(**data)


def main() -> None:
    """Load all plugins and report on the original standard output, which is hidden from them.

    Reads instructions from standard input: a line of JSON. At a terminal it takes all plugins; it
    does nothing if its parent ended without a question.
    """
    line = "{}" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.readline()
    if not line:
        return
    asked: dict[str, Any] = json.loads(line)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    report = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(message: dict[str, Any]) -> None:
        report.write(json.dumps(message) + "\n")
        report.flush()

    logging.getLogger("aigc").addHandler(logging.NullHandler())  # the parent warns
    known: dict[str, str] = asked.get("culprits", {})

    def about_to_load(key: str) -> None:
        if key in known:
            raise PluginError(known[key])
        say({"loading": key})

    host = PluginHost(_from_json(asked.get("options", {})))
    host.discover(about_to_load)
    say({"statuses": [status.to_dict() for status in host.statuses]})
    os._exit(0)  # do not wait for threads that a plugin started


if __name__ == "__main__":
    main()

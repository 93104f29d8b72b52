"""What each plugin brings, or how it fails, found out in a child process.

Listings come from here: whatever a plugin does while it is imported, exit, hang or crash, it does
to the child. Run as a module it is that child.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, TextIO

from aigc_core.errors import PluginError
from aigc_core.plugins.loader import PluginHost
from aigc_core.plugins.options import HostOptions, host_options
from aigc_core.plugins.status import PluginStatus

logger = logging.getLogger("aigc")
NOTICE_AFTER_S = 3.0
GIVE_UP_AFTER_S = 10.0
"""Seconds that a plugin may take; torch, imported by mistake, takes about half of it."""


def probe_plugins(options: HostOptions | None = None) -> list[PluginStatus]:
    """Return the status of every installed plugin; nothing is imported in this process.

    A plugin that ends or holds up the child is found in error, and the others are tried without
    it.

    Raises:
        PluginError: ``--no-plugins`` names what is not installed, or no child can be started.
    """
    options = dataclasses.replace(options or host_options(), strict=False)
    options.check_names()
    culprits: dict[str, str] = {}  # key of a plugin to how it ended the child
    while True:  # each attempt finds one more culprit, or is the last
        outcome = _attempt(options, culprits)
        if isinstance(outcome, list):
            return sorted(outcome, key=lambda status: status.name)
        culprits.update(outcome)


def _attempt(options: HostOptions, culprits: dict[str, str]) -> list[PluginStatus] | dict[str, str]:
    """Return all statuses, or else which plugin kept the child from ending, and how it did."""
    command = [sys.executable, "-P", "-m", __name__, _to_json(options), json.dumps(culprits)]
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
    )
    assert child.stdout is not None
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_forward, args=(child.stdout, lines), daemon=True).start()
    current: str | None = None
    try:
        while True:
            message = _next(lines, current)
            if "loading" in message:
                current = message["loading"]
            elif "statuses" in message:
                return [PluginStatus(**status) for status in message["statuses"]]
            elif "late" in message:
                why = f"Importing it was given up after {GIVE_UP_AFTER_S:.0f} seconds."
                break
            else:
                why = f"Importing it ended the whole process, {_how(child.wait())}."
                break
    finally:
        child.kill()
        child.wait()
    if current is None:
        raise PluginError(
            "The process in which plugins are tried out ended before the first of them, "
            f"{_how(child.returncode)}. See why with: {sys.executable} -P -m {__name__}"
        )
    return {current: why}


def _next(lines: queue.Queue[str], current: str | None) -> dict[str, Any]:
    """Wait for the child's next message: ``{}`` at its end, ``late`` when a plugin holds it up."""
    if current is None:  # Python itself is starting, however slow the disk is
        line = lines.get()
    else:
        try:
            line = lines.get(timeout=NOTICE_AFTER_S)
        except queue.Empty:
            logger.warning("Waiting for the plugin '%s' to load. Ctrl-C ends this.", current)
            try:
                line = lines.get(timeout=GIVE_UP_AFTER_S - NOTICE_AFTER_S)
            except queue.Empty:
                return {"late": current}
    return dict(json.loads(line)) if line else {}


def _forward(pipe: TextIO, lines: queue.Queue[str]) -> None:
    """Pass lines on until the end, which a process that a plugin forked may hold up."""
    with pipe:
        for line in pipe:
            lines.put(line)
    lines.put("")


def _how(code: int) -> str:
    """Return how a process ended, as one says it."""
    if code >= 0:
        return f"with exit code {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"


def _to_json(options: HostOptions) -> str:
    return json.dumps(dataclasses.asdict(options), default=str)


def _from_json(text: str) -> HostOptions:
    data: dict[str, Any] = json.loads(text)
    for key, value in data.items():
        if isinstance(value, list):
            data[key] = tuple(value)
    if data.get("registry") is not None:
        data["registry"] = Path(data["registry"])
    return HostOptions(**data)


def main() -> None:
    """Load everything and report on standard output, which plugins do not get to see."""
    report = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(message: dict[str, Any]) -> None:
        report.write(json.dumps(message) + "\n")
        report.flush()

    logging.getLogger("aigc").addHandler(logging.NullHandler())  # the parent warns
    options, culprits = sys.argv[1:] or ("{}", "{}")
    known: dict[str, str] = json.loads(culprits)

    def about_to_load(key: str) -> None:
        if key in known:
            raise PluginError(known[key])
        say({"loading": key})

    host = PluginHost(_from_json(options))
    host.discover(about_to_load)
    say({"statuses": [status.to_dict() for status in host.statuses.values()]})
    os._exit(0)  # threads that a plugin started do not hold it up


if __name__ == "__main__":
    main()

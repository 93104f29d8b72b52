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
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, TextIO

from aigc_core.plugins.installed import InstalledPlugin, find_installed
from aigc_core.plugins.loader import PluginHost
from aigc_core.plugins.options import HostOptions, host_options, without_plugins
from aigc_core.plugins.status import PluginStatus

logger = logging.getLogger("aigc")
NOTICE_AFTER_S = 3.0
GIVE_UP_AFTER_S = 10.0
"""Seconds that a plugin may take; torch, imported by mistake, takes about half of it."""


def probe_plugins(options: HostOptions | None = None) -> list[PluginStatus]:
    """Return the status of every installed plugin; nothing is imported in this process.

    A plugin that ends or holds up the child is found in error, and the others are tried without
    it.
    """
    options = dataclasses.replace(options or host_options(), strict=False)
    culprits: dict[str, PluginStatus] = {}
    for _ in find_installed():  # each attempt finds the culprit, or is the last
        statuses, culprit, why = _attempt(options)
        if culprit is None:
            return sorted([*statuses, *culprits.values()], key=lambda s: s.name)
        status = PluginStatus.of(culprit)
        status.fail("error", why)
        culprits[status.name] = status
        options = without_plugins(options, (culprit.name,))
    return list(culprits.values())


def _attempt(options: HostOptions) -> tuple[list[PluginStatus], InstalledPlugin | None, str]:
    """Return all statuses, or else the plugin that kept the child from ending, and how it did."""
    command = [sys.executable, "-P", "-m", __name__, _to_json(options)]
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
            if message is None:
                why = f"Importing it was given up after {GIVE_UP_AFTER_S:.0f} seconds."
                break
            if "loading" in message:
                current = message["loading"]
            elif "statuses" in message:
                return [PluginStatus(**status) for status in message["statuses"]], None, ""
            else:
                code = child.wait()
                why = f"Importing it ended the whole process, with code {code}."
                break
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    for plugin in find_installed():
        if plugin.name == current:
            return [], plugin, why
    raise RuntimeError(f"the process that loads plugins ended early: {why}")


def _next(lines: queue.Queue[str], current: str | None) -> dict[str, Any] | None:
    """Wait for the child's next message, ``{}`` at its end, None when it takes too long."""
    try:
        line = lines.get(timeout=NOTICE_AFTER_S)
    except queue.Empty:
        if current is not None:
            logger.warning("Waiting for the plugin '%s' to load. Ctrl-C ends this.", current)
        try:
            line = lines.get(timeout=GIVE_UP_AFTER_S - NOTICE_AFTER_S)
        except queue.Empty:
            return None
    return dict(json.loads(line)) if line else {}


def _forward(pipe: TextIO, lines: queue.Queue[str]) -> None:
    try:
        for line in pipe:
            lines.put(line)
    except (OSError, ValueError):  # closed from the other side
        pass
    lines.put("")


def _to_json(options: HostOptions) -> str:
    return json.dumps(dataclasses.asdict(options), default=str)


def _from_json(text: str) -> HostOptions:
    data: dict[str, Any] = json.loads(text)
    for key, value in data.items():
        if isinstance(value, list):
            data[key] = tuple(value)
    if data["registry"] is not None:
        data["registry"] = Path(data["registry"])
    return HostOptions(**data)


def main() -> None:
    """Load everything and report on standard output, which plugins do not get to see."""
    report = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(message: dict[str, Any]) -> None:
        report.write(json.dumps(message) + "\n")
        report.flush()

    logging.getLogger("aigc").addHandler(logging.NullHandler())
    host = PluginHost(_from_json(sys.argv[1]))
    host.discover(lambda key: say({"loading": key}))
    say({"statuses": [status.to_dict() for status in host.statuses.values()]})
    os._exit(0)  # threads that a plugin started do not hold it up


if __name__ == "__main__":
    main()

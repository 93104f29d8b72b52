"""Says in one sentence whose code raised an unexpected exception."""

from __future__ import annotations

import os
import sys
import traceback

from aigc_core.errors import PluginFailure
from aigc_core.plugins.guarded_import import describe
from aigc_core.plugins.loader import PluginHost


def failure(host: PluginHost, error: BaseException, doing: str) -> PluginFailure:
    """Turn an exception into a one-sentence error that names the plugin, if it came from one.

    Args:
        host: the host with the plugins.
        error: what was raised.
        doing: what was being done, such as ``"training image/dcgan"``.
    """
    frames = traceback.extract_tb(error.__traceback__)
    for frame in reversed(frames):
        owner = _owner(host, frame.filename)
        if owner is not None:
            place = f"{_short(frame.filename)}:{frame.lineno}"
            return PluginFailure(
                f"The plugin '{owner}' failed in {frame.name} ({place}) while {doing}: "
                f"{describe(error)}"
            )
    last = f" ({_short(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    return PluginFailure(f"Something failed while {doing}: {describe(error)}{last}")


def _owner(host: PluginHost, filename: str) -> str | None:
    """Return the active plugin whose package contains a file, or None."""
    path = os.path.realpath(filename)
    for status in host.statuses:
        if status.state != "active":
            continue
        package = status.module.partition(":")[0].partition(".")[0]
        origin = getattr(sys.modules.get(package), "__file__", None)
        if origin is None:
            continue
        origin = os.path.realpath(origin)
        is_package = os.path.basename(origin).startswith("__init__.")
        if path == origin or (is_package and path.startswith(os.path.dirname(origin) + os.sep)):
            return status.name
    return None


def _short(filename: str) -> str:
    """Return a file's last two parts, such as ``aigc_image/dcgan.py``."""
    return "/".join(filename.replace(os.sep, "/").split("/")[-2:])

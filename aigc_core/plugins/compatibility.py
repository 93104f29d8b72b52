"""Checks from metadata alone, before any import, whether a plugin works with this core."""

from __future__ import annotations

import re
import shlex

from packaging.requirements import InvalidRequirement, Requirement

from aigc_core._version import __version__
from aigc_core.errors import shown
from aigc_core.plugins.installed import API_GROUP, InstalledPlugin, normal_name

API_VERSION = 2
"""Version of the contract between core and plugins: hooks, specs and interfaces. It grows when a
plugin that was written for an earlier one would no longer work."""

CORE = "aigc-core"


def incompatibility(plugin: InstalledPlugin) -> tuple[str, str] | None:
    """Return why a plugin cannot work with this core and the command that fixes it, or None.

    A plugin states which core it needs in two ways: its distribution's requirement
    ``aigc-core>=…``, and the API version it is written for, as the name of an entry point in the
    group ``aigc.api`` (version 1 if there is none).
    """
    who = plugin.distribution or plugin.name
    which = f"{who} {plugin.version}" if plugin.version else who
    upgrade_core = f"pip install --upgrade {CORE}"
    upgrade = f"pip install --upgrade {shlex.quote(who)}" if plugin.distribution else plugin.removal
    for text in plugin.requirements:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if normal_name(requirement.name) != CORE:
            continue
        if not applies(requirement):
            continue
        if not requirement.specifier.contains(__version__, prereleases=True):
            return (
                f"{which} needs {CORE}{requirement.specifier}, and {CORE} "
                f"{__version__} is installed.",
                f"{upgrade_core} {shlex.quote(who)}" if plugin.distribution else upgrade_core,
            )
    known = plugin.distribution is not None  # else a module that a test or a notebook registers
    written_for = plugin.api_version or ("1" if known else str(API_VERSION))
    if not re.fullmatch(r"[0-9]{1,9}", written_for):
        return (
            f"{who} names the API version {shown(written_for)} in its entry points [{API_GROUP}], "
            "which is not a whole number.",
            upgrade,
        )
    if int(written_for) != API_VERSION:
        newer = int(written_for) > API_VERSION
        return (
            f"{which} is written for version {int(written_for)} of the plugin API, "
            f"and {CORE} {__version__} has version {API_VERSION}."
            + ("" if newer else " What its author should change: docs/migrating.md"),
            upgrade_core if newer else upgrade,
        )
    return None


def applies(requirement: Requirement) -> bool:
    """Whether a requirement's marker holds in this environment, without extras."""
    try:
        return requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    except Exception:  # such as a marker that compares values without an order
        return False

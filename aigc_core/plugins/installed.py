"""What is installed, from metadata alone: nothing of a plugin is imported here."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import re
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

logger = logging.getLogger("aigc")
ENTRY_POINT_GROUP = "aigc.plugins"
API_GROUP = "aigc.api"


@dataclass(frozen=True)
class InstalledPlugin:
    """One entry point of the group ``aigc.plugins``, and the distribution that it came with."""

    name: str
    """The entry point's name, such as ``image``."""
    module: str
    """What it names, such as ``aigc_image``; imported only by the host."""
    distribution: str | None = None
    """Name of the distribution, such as ``aigc-image``; None where its metadata is damaged."""
    version: str | None = None
    location: str | None = None
    """The folder it was installed into, or of an editable installation the source's."""
    editable: bool = False
    requirements: tuple[str, ...] = ()
    """What the distribution requires, as it says (PEP 508)."""
    api_version: str | None = None
    """The API version that it is written for; None where it does not say."""
    problem: str | None = None
    """What is wrong with its metadata."""


def find_installed() -> list[InstalledPlugin]:
    """Return all installed plugins in the order of their names.

    A distribution with metadata that cannot be read hides nothing but itself, unlike with
    ``importlib.metadata.entry_points``, which one malformed file stops.
    """
    plugins: dict[tuple[str, str, str | None], InstalledPlugin] = {}
    seen: set[str] = set()
    for distribution in importlib.metadata.distributions():
        try:
            text = distribution.read_text("entry_points.txt")
        except Exception as error:  # of whatever finds metadata there
            logger.debug("Metadata that cannot be read: %s", error)
            continue
        if not text or ENTRY_POINT_GROUP not in text:
            continue
        name = _text(distribution, "Name")
        if name is not None:
            if normal_name(name) in seen:  # another folder of sys.path has it too; the first counts
                continue
            seen.add(normal_name(name))
        for plugin in _plugins_of(distribution, name):
            plugins.setdefault((plugin.name, plugin.module, plugin.distribution), plugin)
    return sorted(plugins.values(), key=lambda p: (p.name, p.module, p.distribution or ""))


def normal_name(distribution: str) -> str:
    """Return a distribution's name as PyPA normalises it: ``Aigc_Image`` is ``aigc-image``."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def is_called(plugin: InstalledPlugin, name: str) -> bool:
    """Whether a user means this plugin by ``name``: its own or its distribution's."""
    if name == plugin.name:
        return True
    return plugin.distribution is not None and normal_name(name) == normal_name(plugin.distribution)


def _plugins_of(
    distribution: importlib.metadata.Distribution, name: str | None
) -> Iterator[InstalledPlugin]:
    location, editable = _location(distribution)
    about: dict[str, Any] = {
        "distribution": name,
        "version": _text(distribution, "Version"),
        "location": location,
    }
    try:
        entry_points = list(distribution.entry_points)
    except Exception as error:  # whatever a parser of a damaged file raises
        problem = f"its entry_points.txt cannot be read: {error}"
        yield InstalledPlugin(name or "?", "?", **about, editable=editable, problem=problem)
        return
    requirements = tuple(_requirements(distribution))
    api = next((e.name for e in entry_points if e.group == API_GROUP), None)
    for entry_point in entry_points:
        if entry_point.group == ENTRY_POINT_GROUP:
            yield InstalledPlugin(
                entry_point.name,
                entry_point.value,
                **about,
                editable=editable,
                requirements=requirements,
                api_version=api,
            )


def _text(distribution: importlib.metadata.Distribution, key: str) -> str | None:
    """Return a field of the metadata; a half removed installation has files without it."""
    try:
        value = distribution.metadata[key]
    except Exception:
        return None
    return str(value) if value else None


def _requirements(distribution: importlib.metadata.Distribution) -> list[str]:
    try:
        return distribution.requires or []
    except Exception:
        return []


def _location(distribution: importlib.metadata.Distribution) -> tuple[str | None, bool]:
    """Return where a distribution is, and whether it is editable (PEP 610)."""
    try:
        direct = json.loads(distribution.read_text("direct_url.json") or "{}")
        if direct.get("dir_info", {}).get("editable"):
            from urllib.request import url2pathname  # here, since it takes its time

            return url2pathname(urllib.parse.urlparse(direct["url"]).path), True
    except Exception:  # damaged in whatever way, it tells nothing
        pass
    try:
        return os.path.abspath(str(distribution.locate_file(""))), False
    except Exception:
        return None, False

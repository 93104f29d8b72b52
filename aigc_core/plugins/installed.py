"""Finds installed plugins from metadata alone; no plugin is imported here."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import logging
import os
import re
import shlex
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

logger = logging.getLogger("aigc")
ENTRY_POINT_GROUP = "aigc.plugins"
API_GROUP = "aigc.api"
_PLUGIN_NAME = re.compile(r"\w[\w.-]*")
_DISTRIBUTION_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class InstalledPlugin:
    """One entry point of the group ``aigc.plugins``, and the distribution it came with."""

    name: str
    """The entry point's name, such as ``image``; always printable."""
    module: str
    """What the entry point names, such as ``aigc_image``; imported only by the host."""
    distribution: str | None = None
    """Name of the distribution, such as ``aigc-image``; None if its metadata is damaged."""
    version: str | None = None
    location: str | None = None
    """The folder it was installed into, or the source folder if it is editable."""
    editable: bool = False
    source: str | None = None
    """The folder or file it was installed from, if pip recorded one (PEP 610)."""
    metadata_path: str | None = None
    """The ``.dist-info`` folder."""
    requirements: tuple[str, ...] = ()
    """The distribution's requirements as it states them (PEP 508)."""
    api_version: str | None = None
    """The API version it is written for; None if it does not say."""
    problem: str | None = None
    """What is wrong with its metadata."""
    fix: str | None = None
    """What fixes the problem: a command, ready to type."""

    @property
    def removal(self) -> str:
        """How to remove it: a command, or an instruction in words if pip cannot."""
        return removal(self.distribution, self.metadata_path)


def find_installed() -> list[InstalledPlugin]:
    """Return all installed plugins, sorted by name.

    Unreadable metadata hides only its own distribution, whereas a single malformed file makes
    ``importlib.metadata.entry_points`` fail altogether.
    """
    plugins: dict[tuple[str, str, str | None], InstalledPlugin] = {}
    homes: dict[str, str] = {}  # normalised name of a distribution -> the folder it is in
    versions: dict[str, set[str]] = {}  # normalised name -> its versions in that folder
    for distribution in importlib.metadata.distributions():
        path = _metadata_path(distribution)
        if os.path.basename(path or "").startswith("~"):  # pip was interrupted while replacing it
            continue
        try:
            text = distribution.read_text("entry_points.txt")
        except Exception as error:  # a metadata finder can raise anything
            logger.debug("Metadata that cannot be read: %s", error)
            continue
        if not text or ENTRY_POINT_GROUP not in text:
            continue
        name = _text(distribution, "Name")
        if name is not None and not _DISTRIBUTION_NAME.fullmatch(name):
            name = None
        if name is not None:
            normal, home = normal_name(name), os.path.dirname(path or "")
            known = normal in homes
            if homes.setdefault(normal, home) == home:
                versions.setdefault(normal, set()).add(_version(distribution) or "?")
            if known:  # found before; a copy in a later folder of sys.path has no effect
                continue
        for plugin in _plugins_of(distribution, name):
            plugins.setdefault((plugin.name, plugin.module, plugin.distribution), plugin)
    found = [_noting_mixed_versions(p, versions) for p in plugins.values()]
    return sorted(found, key=lambda p: (p.name, p.module, p.distribution or ""))


def normal_name(distribution: str) -> str:
    """Normalise a distribution's name as PyPA does: ``Aigc_Image`` becomes ``aigc-image``."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


class Named(Protocol):
    """Anything with the names by which a user can refer to a plugin."""

    @property
    def name(self) -> str: ...
    @property
    def distribution(self) -> str | None: ...


def matches_name(plugin: Named, name: str) -> bool:
    """Whether ``name`` is this plugin's name or its distribution's."""
    if name == plugin.name:
        return True
    return plugin.distribution is not None and normal_name(name) == normal_name(plugin.distribution)


def as_argument(name: str) -> str:
    """Quote a name for a shell, as an argument of ``aigc``."""
    return f"-- {shlex.quote(name)}" if name.startswith("-") else shlex.quote(name)


def removal(distribution: str | None, metadata_path: str | None) -> str:
    """Return how to remove a plugin: a command, or words if its metadata is damaged.

    Never passes an entry point's name to pip: an unrelated distribution may have that name.
    """
    if distribution is not None:
        return f"aigc plugins uninstall {as_argument(distribution)}"
    return f"remove the folder {shlex.quote(metadata_path)}" if metadata_path else "remove it"


def _noting_mixed_versions(
    plugin: InstalledPlugin, versions: dict[str, set[str]]
) -> InstalledPlugin:
    """Record a problem if a folder has metadata for several versions of the plugin."""
    if plugin.distribution is None or plugin.problem:
        return plugin
    mixed = sorted(versions[normal_name(plugin.distribution)])
    if len(mixed) < 2:
        return plugin
    count = "two" if len(mixed) == 2 else len(mixed)
    return dataclasses.replace(
        plugin,
        problem=f"{count} versions are installed over one another: {' and '.join(mixed)}",
        fix=f"{plugin.removal} && aigc plugins install {plugin.distribution}",
    )


def _plugins_of(
    distribution: importlib.metadata.Distribution, name: str | None
) -> Iterator[InstalledPlugin]:
    about: dict[str, Any] = {
        "distribution": name,
        "version": _version(distribution),
        "metadata_path": _metadata_path(distribution),
        **_location(distribution),
    }
    remove = removal(name, about["metadata_path"])
    try:
        entry_points = list(distribution.entry_points)
    except Exception as error:  # parsing a damaged file can raise anything
        problem = f"its entry_points.txt cannot be read: {error}"
        fix = f"pip install --force-reinstall --no-deps {name}" if name else remove
        yield InstalledPlugin(name or "?", "?", **about, problem=problem, fix=fix)
        return
    requirements = tuple(_requirements(distribution))
    api = next((e.name for e in entry_points if e.group == API_GROUP), None)
    for entry_point in entry_points:
        if entry_point.group == ENTRY_POINT_GROUP:
            printable = _printable(entry_point.name)
            valid = _PLUGIN_NAME.fullmatch(entry_point.name)
            problem = f"its name '{printable}' is not valid: letters, digits, . - _"
            yield InstalledPlugin(
                printable,
                entry_point.value,
                **about,
                requirements=requirements,
                api_version=api,
                problem=None if valid else problem,
                fix=None if valid else remove,
            )


def _printable(text: str) -> str:
    """Escape characters that are not printable, such as terminal control codes."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _text(distribution: importlib.metadata.Distribution, key: str) -> str | None:
    """Return a metadata field, or None; a half-removed installation may lack the metadata."""
    try:
        value = distribution.metadata[key]
    except Exception:
        return None
    return str(value) if value else None


def _version(distribution: importlib.metadata.Distribution) -> str | None:
    version = _text(distribution, "Version")
    return None if version is None else _printable(version)


def _metadata_path(distribution: importlib.metadata.Distribution) -> str | None:
    """Return the metadata folder, or None: not every metadata finder has one."""
    path = getattr(distribution, "_path", None)
    return None if path is None else os.path.abspath(str(path))


def _requirements(distribution: importlib.metadata.Distribution) -> list[str]:
    try:
        return distribution.requires or []
    except Exception:
        return []


def _location(distribution: importlib.metadata.Distribution) -> dict[str, Any]:
    """Return where a distribution is and comes from, and whether it is editable (PEP 610)."""
    source = None
    try:
        direct = json.loads(distribution.read_text("direct_url.json") or "{}")
        url = urllib.parse.urlparse(direct.get("url", ""))
        if url.scheme == "file":
            source = urllib.parse.unquote(url.path)
            if os.name == "nt":
                from urllib.request import url2pathname  # a slow import: it loads all of http

                source = url2pathname(url.path)
            if direct.get("dir_info", {}).get("editable"):
                return {"location": source, "editable": True, "source": source}
    except Exception:  # damaged: ignore it
        pass
    try:
        location = os.path.abspath(str(distribution.locate_file("")))
    except Exception:
        return {"location": None, "editable": False, "source": source}
    return {"location": location, "editable": False, "source": source}

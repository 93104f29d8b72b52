"""Installing and uninstalling plugins with pip, and telling truly what came of it."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import parse_sdist_filename, parse_wheel_filename

from aigc_core.errors import AigcError, PluginError, did_you_mean
from aigc_core.plugins.catalogue import Catalogue, find_catalogue, load_catalogue
from aigc_core.plugins.compatibility import CORE
from aigc_core.plugins.installed import find_installed, is_called, normal_name

CONSTRAINTS = "constraints.txt"
"""Pins beside a checkout's ``registry.yaml``, under which its plugins are installed."""


@dataclass(frozen=True)
class Target:
    """One thing to install."""

    argument: str
    """What pip is given: a path or a requirement."""
    distribution: str | None
    """The distribution's name, where it can be known before."""
    is_folder: bool = False


class InstallError(AigcError):
    """pip failed."""


def find_targets(names: Sequence[str]) -> list[Target]:
    """Return what names stand for: entries of the registry, paths, wheels or requirements.

    Raises:
        PluginError: a path that is not there, an empty slot, or a name that is almost one of the
            registry's, which could be somebody else's trap.
    """
    path = find_catalogue()
    catalogue = load_catalogue(path)
    return [_find_target(name, catalogue, path.absolute().parent) for name in names]


def every_target() -> list[Target]:
    """Return all plugins of the registry."""
    return find_targets(list(load_catalogue().plugins))


def _find_target(name: str, catalogue: Catalogue, checkout: Path) -> Target:
    if _is_path(name):
        return _local(Path(os.path.expanduser(name)), name)
    for wanted in (name, f"aigc-{name}"):
        entry = next((n for n in catalogue.plugins if normal_name(n) == normal_name(wanted)), None)
        if entry is not None:
            folder = catalogue.plugins[entry].folder
            if folder is not None and (checkout / folder / "pyproject.toml").is_file():
                return Target(str(checkout / folder), normal_name(entry), is_folder=True)
            return Target(entry, normal_name(entry))
    if name in catalogue.modalities:
        slot = catalogue.modalities[name]
        if slot.plugin is not None:
            return _find_target(slot.plugin, catalogue, checkout)
        raise PluginError(
            f"No plugin of the registry brings the modality '{name}' yet. "
            f"Begin one with: aigc plugins new NAME --modality {name}"
        )
    try:
        requirement = Requirement(name)
    except InvalidRequirement as error:
        raise PluginError(
            f"'{name}' is no plugin of the registry, no path and no requirement of pip's: "
            f"{str(error).splitlines()[0]}.{did_you_mean(name, catalogue.plugins)}"
        ) from None
    plain = name.strip() == requirement.name
    if plain and (close := _twin(name, catalogue)) is not None:
        raise PluginError(
            f"The registry has no plugin '{name}'. Did you mean '{close}'? "
            f"If not, install it with: pip install {name}"
        )
    return Target(name, normal_name(requirement.name))


def _twin(name: str, catalogue: Catalogue) -> str | None:
    """Return the registry's name that another one, with aigc- or without, could be taken for."""
    names = [*catalogue.plugins, *(f"aigc-{modality}" for modality in catalogue.modalities)]
    for wanted in (name, f"aigc-{name}"):
        for close in difflib.get_close_matches(wanted, names, n=1, cutoff=0.85):
            return close if close in catalogue.plugins else close.removeprefix("aigc-")
    return None


def _is_path(name: str) -> bool:
    if "://" in name or " @ " in name:
        return False
    return name.startswith((".", "~")) or "/" in name or "\\" in name or name.endswith(".whl")


def _local(path: Path, name: str) -> Target:
    if os.path.isdir(path):
        file = path / "pyproject.toml"
        if not file.is_file():
            raise PluginError(f"The folder {name} has no pyproject.toml, so it is no package.")
        try:
            project = tomllib.loads(file.read_text(encoding="utf-8")).get("project")
        except (OSError, ValueError) as error:
            raise PluginError(f"{file} cannot be read: {error}.") from None
        found = project.get("name") if isinstance(project, dict) else None
        distribution = normal_name(found) if isinstance(found, str) else None  # else pip tells
        return Target(str(path.absolute()), distribution, True)
    if not os.path.isfile(path):
        raise PluginError(f"There is no file or folder {name}.")
    return Target(str(path.absolute()), _distribution_in(path.name))


def _distribution_in(file: str) -> str | None:
    """Return the distribution that a wheel or a source archive is of, by the file's name."""
    try:
        parsed = parse_wheel_filename(file) if file.endswith(".whl") else parse_sdist_filename(file)
    except ValueError:
        return None
    return parsed[0]


def install_command(targets: Sequence[Target], *, editable: bool = False) -> list[str]:
    """Return the command that installs targets into this environment."""
    command = installer("install")
    constraints = find_catalogue().absolute().parent / CONSTRAINTS
    if constraints.is_file() and any(
        Path(target.argument).is_relative_to(constraints.parent) for target in targets
    ):
        command += ["-c", str(constraints)]
    for target in targets:
        command += ["-e", target.argument] if editable and target.is_folder else [target.argument]
    return command


def uninstall_command(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the command that removes plugins, and their distributions' names.

    Raises:
        PluginError: a name that no installed plugin has.
    """
    installed = find_installed()
    distributions: list[str] = []
    for name in names:
        if normal_name(name) == CORE:
            raise PluginError(f"{CORE} is no plugin. Remove it with: pip uninstall {CORE}")
        found = {p.distribution or p.name for p in installed if is_called(p, name)}
        if not found:
            known = {n for p in installed for n in (p.name, p.distribution) if n}
            raise PluginError(f"The plugin '{name}' is not installed.{did_you_mean(name, known)}")
        if len(found) > 1:
            raise PluginError(
                f"Several distributions bring a plugin '{name}': {', '.join(sorted(found))}. "
                "Name one of them."
            )
        distributions += [d for d in found if d not in distributions]
    return [*installer("uninstall"), *distributions], distributions


def installer(verb: Literal["install", "uninstall"]) -> list[str]:
    """Return how to call pip for this environment, or uv where there is no pip.

    Raises:
        PluginError: there is neither.
    """
    if importlib.util.find_spec("pip") is not None:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", verb]
        return [*pip, "--yes"] if verb == "uninstall" else pip
    if shutil.which("uv"):  # which never asks
        return ["uv", "pip", verb, "--python", sys.executable]
    raise PluginError(
        f"{sys.executable} has no pip, and there is no uv. "
        f"Get pip with: {shlex.quote(sys.executable)} -m ensurepip"
    )


def run_installer(command: Sequence[str], say: Callable[[str], None]) -> None:
    """Run pip; pass on what it says, line by line.

    Raises:
        InstallError: it failed; repeats what pip named as errors, and says whether the
            environment's plugins are as they were.
    """
    before = find_installed()
    lines: list[str] = []
    try:
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line.rstrip())
                say(lines[-1])
    except OSError as error:
        raise InstallError(f"{command[0]} could not be run: {error}.") from error
    importlib.invalidate_caches()
    if process.returncode != 0:
        errors = [line for line in lines if line.lower().startswith("error")] or lines[-3:]
        same = find_installed() == before
        state = "are as they were" if same else "CHANGED: see aigc plugins list"
        raise InstallError(
            f"pip failed with exit code {process.returncode}: {' '.join(errors)} "
            f"(The plugins of this environment {state}.)"
        )

"""Installs and uninstalls plugins with pip, and reports the actual outcome."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.util
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import parse_sdist_filename, parse_wheel_filename

from aigc_core.errors import AigcError, PluginError, Terminated, did_you_mean
from aigc_core.plugins.catalogue import Catalogue, find_catalogue, load_catalogue
from aigc_core.plugins.compatibility import CORE
from aigc_core.plugins.installed import InstalledPlugin, find_installed, matches_name, normal_name

CONSTRAINTS = "constraints.txt"
"""File of pinned versions next to a checkout's ``registry.yaml``, used to install its plugins."""
ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


@dataclass(frozen=True)
class Target:
    """One thing to install."""

    argument: str
    """The argument for pip: a path or a requirement."""
    distribution: str | None
    """The distribution's name, if it is known before installing."""
    is_folder: bool = False
    registry: Path | None = None
    """The registry that the name was found in, if it is not the core's own."""


class InstallError(AigcError):
    """pip failed."""


def find_targets(names: Sequence[str]) -> list[Target]:
    """Resolve names to targets: registry entries, paths, wheels or requirements.

    Raises:
        PluginError: a missing path, an empty slot, or a name that is suspiciously close to one in
            the registry (possible typosquatting).
    """
    path = find_catalogue().absolute()
    catalogue = load_catalogue(path)
    return [_find_target(name, catalogue, path) for name in names]


def every_target() -> list[Target]:
    """Return a target for every plugin in the registry."""
    return find_targets(list(load_catalogue().plugins))


def _find_target(name: str, catalogue: Catalogue, path: Path) -> Target:
    if _is_path(name):
        return _local(Path(os.path.expanduser(name)), name)
    try:
        requirement = Requirement(name)
    except InvalidRequirement as error:
        raise PluginError(
            f"'{name}' is no plugin of the registry, no path and no requirement of pip's: "
            f"{str(error).splitlines()[0]}.{did_you_mean(name, catalogue.plugins)}"
        ) from None
    if requirement.url:  # an explicit source cannot be mistaken for another package
        return Target(name, normal_name(requirement.name))
    wanted = normal_name(requirement.name)
    slot = catalogue.modalities.get(wanted)
    for called in (wanted, f"aigc-{wanted}", slot.plugin if slot else None):
        for entry in catalogue.plugins:
            if called is not None and normal_name(entry) == normal_name(called):
                return _catalogued(entry, requirement, catalogue, path)
    if slot is not None:
        raise PluginError(
            f"No plugin of the registry brings the modality '{wanted}' yet. "
            f"Begin one with: aigc plugins new NAME --modality {wanted}"
        )
    if (close := _twin(requirement.name, catalogue)) is not None:
        raise PluginError(
            f"The registry has no plugin '{requirement.name}'. Did you mean '{close}'? "
            f"If not, install it with: pip install {shlex.quote(name)}"
        )
    return Target(name, wanted)


def _catalogued(entry: str, requirement: Requirement, catalogue: Catalogue, path: Path) -> Target:
    """Return the target for a registry entry: its folder in the checkout, or a requirement."""
    package = Path(__file__).resolve().parents[1]
    own = path.resolve().parent in (package, package.parent)
    registry = None if own else path
    folder = catalogue.plugins[entry].folder
    here = folder is not None and (path.parent / folder / "pyproject.toml").is_file()
    if here and not requirement.specifier and requirement.marker is None:
        extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
        return Target(f"{path.parent / str(folder)}{extras}", normal_name(entry), True, registry)
    requirement.name = entry
    return Target(str(requirement), normal_name(entry), registry=registry)


def _twin(name: str, catalogue: Catalogue) -> str | None:
    """Return the registry name that ``name``, with or without aigc-, could be confused with."""
    names = [*catalogue.plugins, *(f"aigc-{modality}" for modality in catalogue.modalities)]
    for wanted in (name, f"aigc-{name}"):
        for close in difflib.get_close_matches(wanted, names, n=1, cutoff=0.85):
            return close if close in catalogue.plugins else close.removeprefix("aigc-")
    return None


def _is_path(name: str) -> bool:
    if "://" in name or " @ " in name:
        return False
    return name.startswith((".", "~")) or "/" in name or "\\" in name or name.endswith(ARCHIVES)


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
        distribution = normal_name(found) if isinstance(found, str) else None  # pip will complain
        return Target(str(path.absolute()), distribution, True)
    if not os.path.isfile(path):
        raise PluginError(f"There is no file or folder {name}.")
    return Target(str(path.absolute()), _distribution_in(path.name))


def _distribution_in(file: str) -> str | None:
    """Return the distribution that a wheel's or a source archive's file name gives, or None."""
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
        PluginError: no installed plugin has the name, several do, or its metadata is damaged.
    """
    installed = find_installed()
    distributions: list[str] = []
    for name in names:
        if normal_name(name) == CORE:
            raise PluginError(f"{CORE} is no plugin. Remove it with: pip uninstall {CORE}")
        meant = [p for p in installed if matches_name(p, name)]
        found = sorted({p.distribution or _damaged(p) for p in meant})
        if not found:
            known = {n for p in installed for n in (p.name, p.distribution) if n}
            raise PluginError(f"The plugin '{name}' is not installed.{did_you_mean(name, known)}")
        if len(found) > 1:
            raise PluginError(
                f"Several distributions bring a plugin '{name}': {', '.join(found)}. "
                "Name one of them."
            )
        if meant[0].distribution is None:
            raise PluginError(
                f"pip cannot remove the plugin '{name}': its metadata is damaged and does not say "
                f"which distribution it is of. To remove it, {meant[0].removal}."
            )
        distributions += [d for d in found if d not in distributions]
    return [*installer("uninstall"), *distributions], distributions


def _damaged(plugin: InstalledPlugin) -> str:
    return f"one with damaged metadata in {plugin.metadata_path or plugin.location}"


def installer(verb: Literal["install", "uninstall"]) -> list[str]:
    """Return the command that runs pip for this environment, or uv if there is no pip.

    Raises:
        PluginError: neither is available.
    """
    if importlib.util.find_spec("pip") is not None:
        # -P: do not pick up a pip.py from the current folder
        pip = [sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "--no-input", verb]
        return [*pip, "--yes"] if verb == "uninstall" else pip
    if shutil.which("uv"):  # uv never asks for confirmation, so no --yes
        return ["uv", "pip", verb, "--python", sys.executable]
    raise PluginError(
        f"{sys.executable} has no pip, and there is no uv. "
        f"Get pip with: {shlex.quote(sys.executable)} -m ensurepip"
    )


def run_installer(command: Sequence[str], say: Callable[[str], None]) -> None:
    """Run pip and pass on its output line by line.

    An interruption is forwarded to pip and raised again once pip has ended: killing pip midway
    would leave plugins half installed. A second interruption kills it.

    Raises:
        InstallError: pip failed; repeats pip's error lines and says whether the environment's
            plugins are unchanged.
    """
    before = find_installed()
    lines: list[str] = []

    def state() -> str:
        importlib.invalidate_caches()
        same = find_installed() == before
        return "are as they were" if same else "CHANGED: see aigc plugins list"

    def run_to_the_end() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            say(lines[-1])
        process.wait()

    try:
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={name: value for name, value in os.environ.items() if name != "FORCE_COLOR"},
            start_new_session=True,  # Ctrl-C in a terminal reaches only us, so pip gets it once
        ) as process:
            try:
                run_to_the_end()
            except (KeyboardInterrupt, Terminated):
                _interrupt(process)
                say("Waiting for pip to end. Once more, and it is killed.")
                try:
                    run_to_the_end()
                except (KeyboardInterrupt, Terminated):
                    process.kill()
                    process.wait()
                say(f"pip was interrupted. The plugins of this environment {state()}.")
                raise
    except OSError as error:
        raise InstallError(f"{command[0]} could not be run: {error}.") from error
    importlib.invalidate_caches()
    if process.returncode != 0:
        errors = [line for line in lines if line.lower().startswith("error")] or lines[-3:]
        raise InstallError(
            f"pip failed with exit code {process.returncode}: {' '.join(errors)} "
            f"(The plugins of this environment {state()}.)"
        )


def _interrupt(process: subprocess.Popen[str]) -> None:
    """Send SIGINT to pip and its child processes, as Ctrl-C would."""
    if os.name == "nt":  # on Windows, the console's Ctrl-C has already reached it
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it may just have ended
        os.killpg(process.pid, signal.SIGINT)

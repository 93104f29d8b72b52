"""A new plugin's folder: a package that trains and passes the contract suite as it is."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePath
from string import Template
from typing import Any

from pydantic import TypeAdapter, ValidationError

from aigc_core._version import __version__
from aigc_core.errors import ConfigError, PluginError, StorageError, UserError, reason
from aigc_core.files import atomic_folder
from aigc_core.plugins import (
    API_VERSION,
    Catalogue,
    DatasetSpec,
    find_installed,
    get_host,
    load_catalogue,
)
from aigc_core.plugins.installed import matches_name
from aigc_core.plugins.specs import Name

MAX_LENGTH = 32
"""Characters in a name; with more, lines of the templates would exceed 100."""


def brought_by_a_plugin(modality: str) -> bool:
    """Return whether an active plugin brings a modality.

    Raises:
        PluginError: the plugin that brings it is not installed, is disabled or does not load.
    """
    host = get_host()
    if modality in host.modalities:
        return True
    idle = {status.name for status in host.statuses if status.state != "active"}
    catalogue = _catalogue()
    if modality in idle or (catalogue and catalogue.provider_of("modality", modality)):
        host.modality(modality)  # raises, and says why it is missing
    return False


def new_plugin(name: str, modality: str, folder: Path, existing: bool) -> list[Path]:
    """Write a plugin with the recipe ``<modality>/<name>``, atomically.

    Args:
        name: of the plugin and its model; the distribution is ``aigc-<name>``.
        modality: the kind of content.
        folder: where to write; must be missing or empty.
        existing: whether an installed plugin brings the modality. If not, the new one brings it,
            with an embedded dataset of made-up samples.

    Returns:
        The files that were written.

    Raises:
        UserError: a name is invalid or taken, the folder is not empty, or the template's networks
            cannot make the modality's samples.
        StorageError: the files could not be written.
    """
    package = f"aigc_{name.replace('-', '_')}"
    _check_name("NAME", name)
    _check_name("--modality", modality)
    _check_free(name, package, f"{modality}/{name}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is not an empty folder. Choose another one with --out.")
    values = {
        "name": name,
        "package": package,
        "modality": modality,
        "title": "".join(word.capitalize() for word in modality.split("-")),
        "api_version": str(API_VERSION),
        "core_version": ".".join(__version__.split(".")[:2]),
        "needs": "",
        "output": "torch.tanh(values)",
        "dataset": f"{name}-examples",
    }
    if existing:
        values |= _facts_of(modality)
    templates = files("aigc_core.scaffold") / "templates"
    written = []
    try:
        with atomic_folder(folder) as scratch:
            for part in ("both", "recipe" if existing else "modality"):
                for path, text in _filled(templates / part, values):
                    target = scratch / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_text(text, encoding="utf-8")
                    written.append(folder / path)
    except OSError as error:
        raise StorageError(f"Could not write {folder}: {reason(error)}.") from error
    return sorted(written)


def _check_name(what: str, name: str) -> None:
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError:
        raise UserError(
            f"{what} '{name}' is not valid: it should be lower-case words of letters and digits, "
            "joined by hyphens, such as 'point-flow'."
        ) from None
    if len(name) > MAX_LENGTH:
        raise UserError(f"{what} '{name}' is longer than {MAX_LENGTH} characters.")


def _check_free(name: str, package: str, recipe: str) -> None:
    """Raise ``PluginError`` if a plugin, distribution, package or recipe has the name."""
    distribution = f"aigc-{name}"
    host = get_host()
    other = "Choose another NAME."
    for plugin in find_installed():
        if matches_name(plugin, name) or matches_name(plugin, distribution):
            raise PluginError(
                f"The plugin '{plugin.name}' ({plugin.distribution}) is already installed. {other}"
            )
    if importlib.util.find_spec(package) is not None:
        raise PluginError(f"There is already a package {package}. {other}")
    if recipe in host.recipes:
        owner = host.owner("recipe", recipe)
        raise PluginError(f"The plugin '{owner}' already brings the recipe '{recipe}'. {other}")
    catalogue = _catalogue()
    if catalogue and distribution in catalogue.plugins:
        raise PluginError(f"The registry already has a plugin {distribution}. {other}")


def _facts_of(modality: str) -> dict[str, str]:
    """Return the template values for a recipe of an installed modality."""
    host = get_host()
    owner = host.owner("modality", modality)
    embedded = [s for s in host.datasets.values() if s.modality == modality and s.embedded]
    if not embedded:
        raise PluginError(
            f"No installed plugin brings an embedded dataset of the modality '{modality}', and the "
            "new plugin's tests need one that works without a download."
        )
    # Prefer a dataset of the plugin that brings the modality: then there is a single dependency.
    dataset: DatasetSpec = min(embedded, key=lambda s: host.owner("dataset", s.name) != owner)
    cls: Any = host.resolve(host.modality(modality).code, owner)
    if not cls.sample_dtype.is_floating_point:
        raise PluginError(
            f"Samples of the modality '{modality}' are whole numbers, and the networks of the "
            "template make real ones. Write this plugin by hand, as docs/writing-a-plugin.md does."
        )
    return {
        "dataset": dataset.name,
        "needs": "".join(
            f'    "{requirement}",\n'
            for requirement in sorted(
                {*map(_requirement, (owner, host.owner("dataset", dataset.name)))}
            )
        ),
        "output": _output(cls.sample_range),
    }


def _requirement(plugin: str) -> str:
    status = get_host().status(plugin)
    distribution = (status and status.distribution) or f"aigc-{plugin}"
    return f"{distribution}>={status.version}" if status and status.version else distribution


def _output(sample_range: tuple[float, float] | None) -> str:
    """Return the expression that keeps ``values`` within the range of a modality's samples."""
    if sample_range is None:
        return "values"
    low, high = sample_range
    if (low, high) == (-1, 1):
        return "torch.tanh(values)"
    if (low, high) == (0, 1):
        return "torch.sigmoid(values)"
    return f"{low!r} + {high - low!r} * torch.sigmoid(values)"


def _filled(folder: Traversable, values: dict[str, str]) -> Iterator[tuple[PurePath, str]]:
    """Yield the path and text of each file that a folder's templates make."""
    for entry in folder.iterdir():
        if entry.is_dir():
            parent = values["package"] if entry.name == "package" else entry.name
            for path, text in _filled(entry, values):
                yield PurePath(parent) / path, text
        elif entry.name.endswith(".template"):
            name = entry.name.removesuffix(".template")
            text = Template(entry.read_text(encoding="utf-8")).substitute(values)
            yield PurePath(".gitignore" if name == "gitignore" else name), text


def _catalogue() -> Catalogue | None:
    try:
        return load_catalogue()
    except ConfigError:  # a faulty catalogue must not prevent writing a plugin
        return None

"""``registry.yaml``: the curated catalogue of plugins and the modality slots they fill."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from aigc_core.complaints import first_complaint
from aigc_core.errors import ConfigError, did_you_mean, shown
from aigc_core.interfaces.config import ConfigModel
from aigc_core.plugins.options import host_options
from aigc_core.plugins.specs import Name, RecipeName
from aigc_core.strict_yaml import load_yaml

FILE_NAME = "registry.yaml"
SCHEMA_VERSION = 1
Kind = Literal["modality", "dataset", "recipe", "metric", "command"]


class CataloguePlugin(ConfigModel):
    """A plugin that can be installed. Only names: a catalogue never says which code to import."""

    summary: str
    folder: str | None = Field(default=None, pattern=r"^\w[\w.-]*(/\w[\w.-]*)*$")
    """Its folder in a checkout, relative to the catalogue's folder and below it."""
    modalities: tuple[Name, ...] = ()
    datasets: tuple[Name, ...] = ()
    recipes: tuple[RecipeName, ...] = ()
    metrics: tuple[Name, ...] = ()
    commands: tuple[Name, ...] = ()
    """Commands that it adds to ``aigc``."""


class Slot(ConfigModel):
    """A kind of content that the framework has a slot for."""

    summary: str
    plugin: Name | None = None
    """The plugin that fills the slot; null if it is empty."""


class Catalogue(ConfigModel):
    """The contents of ``registry.yaml``."""

    schema_version: Literal[1]
    modalities: dict[Name, Slot]
    plugins: dict[Name, CataloguePlugin]

    @model_validator(mode="after")
    def _slots_name_plugins(self) -> Catalogue:
        for name, slot in self.modalities.items():
            if slot.plugin is not None and slot.plugin not in self.plugins:
                hint = did_you_mean(slot.plugin, self.plugins)
                raise ValueError(
                    f"modality '{name}' names the plugin '{slot.plugin}', which the catalogue "
                    f"does not have.{hint}"
                )
        return self

    def provider_of(self, kind: Kind, name: str) -> str | None:
        """Return the name of the first catalogued plugin that provides ``name``, or None."""
        for plugin_name, plugin in self.plugins.items():
            brings = {
                "modality": plugin.modalities,
                "dataset": plugin.datasets,
                "recipe": plugin.recipes,
                "metric": plugin.metrics,
                "command": plugin.commands,
            }
            if name in brings[kind]:
                return plugin_name
        return None


def find_catalogue() -> Path:
    """Return the path of the catalogue to use.

    In order: ``--registry``, ``./registry.yaml``, ``AIGC_REGISTRY``, the core's own.

    Raises:
        ConfigError: ``--registry`` or ``AIGC_REGISTRY`` names something that is not a file.
    """
    if chosen := host_options().registry:
        if not os.path.isfile(chosen):
            raise ConfigError(f"--registry names {chosen}, which is not a file.")
        return chosen
    local = Path(FILE_NAME)
    if local.is_file():
        return local
    if configured := os.environ.get("AIGC_REGISTRY"):
        path = Path(configured)
        if not os.path.isfile(path):
            raise ConfigError(f"AIGC_REGISTRY names {configured}, which is not a file.")
        return path
    package = Path(__file__).parents[1]
    packaged = package / FILE_NAME  # in a wheel
    return packaged if packaged.exists() else package.parent / FILE_NAME  # in a checkout


def load_catalogue(path: Path | None = None) -> Catalogue:
    """Read and validate a catalogue.

    Raises:
        ConfigError: missing, malformed, or written for a newer version of the core.
    """
    path = path or find_catalogue()
    data = load_yaml(path)
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected keys such as 'schema_version', found {shown(data)}.")
    version = data.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:  # before new keys are rejected
        raise ConfigError(
            f"{path}: schema_version {version} is newer than this aigc reads ({SCHEMA_VERSION}). "
            "Upgrade with: pip install --upgrade aigc-core"
        )
    try:
        return Catalogue.model_validate(data)
    except ValidationError as error:
        complaint = first_complaint(error, data)
        if complaint.kind == "extra_forbidden":
            problem = f"there is no key '{complaint.key}' in a catalogue"
        elif complaint.kind == "missing":
            problem = f"'{complaint.key}' is missing"
        elif complaint.path:
            problem = f"{complaint.key}={shown(complaint.value)} is not valid: {complaint.problem}"
        else:
            problem = complaint.problem
        raise ConfigError(f"{path}: {problem.removesuffix('.')}.") from None

"""``registry.yaml``: the curated catalogue of plugins and the modality slots they fill."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from aigc_core.errors import ConfigError, did_you_mean
from aigc_core.interfaces.config import ConfigModel
from aigc_core.plugins.specs import Name
from aigc_core.strict_yaml import load_yaml

FILE_NAME = "registry.yaml"
SCHEMA_VERSION = 1

RecipeName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*/[a-z][a-z0-9-]*$")]


class CataloguePlugin(ConfigModel):
    """A plugin that can be installed. Names only: a catalogue never says what code to import."""

    summary: str
    folder: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$")
    """Where it stands in a checkout, relative to the catalogue."""
    modalities: tuple[Name, ...] = ()
    datasets: tuple[Name, ...] = ()
    recipes: tuple[RecipeName, ...] = ()


class Slot(ConfigModel):
    """A kind of content that the framework has a place for."""

    summary: str
    plugin: Name | None = None
    """Which plugin fills it; null for an empty slot."""


class Catalogue(ConfigModel):
    """The whole of ``registry.yaml``."""

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

    def provider_of(self, recipe: str) -> str | None:
        """Return the name of the catalogued plugin that brings a recipe, if one does."""
        return next((name for name, p in self.plugins.items() if recipe in p.recipes), None)


def find_catalogue() -> Path:
    """Return the file in use: ``./registry.yaml``, else ``AIGC_REGISTRY``, else the core's own."""
    local = Path(FILE_NAME)
    if local.exists():
        return local
    if configured := os.environ.get("AIGC_REGISTRY"):
        return Path(configured)
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
        raise ConfigError(f"{path}: expected keys such as 'schema_version', found {data!r:.40}.")
    version = data.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ConfigError(
            f"{path}: schema_version {version} is newer than this aigc reads ({SCHEMA_VERSION}). "
            "Upgrade with: pip install --upgrade aigc-core"
        )
    try:
        return Catalogue.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        problem = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{path}: {key + ': ' if key else ''}{problem}") from None

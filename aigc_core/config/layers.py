"""The sources of settings: named, nested dictionaries that are merged in order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aigc_core.config.standard import parse_standard
from aigc_core.errors import ConfigError, did_you_mean, shown
from aigc_core.strict_yaml import load_yaml, parse_yaml

SCHEMA_VERSION = 1
SECTIONS = ("dataset", "model", "trainer", "engine")


@dataclass(frozen=True)
class Layer:
    """Settings from one source; ``source`` is shown next to each value and in errors."""

    source: str
    values: Mapping[str, Any]


def parse_assignment(text: str) -> tuple[str, Any]:
    """Parse one ``--set`` argument, ``section.key=value``; the value is read as YAML.

    Raises:
        ConfigError: no ``=``, or a value that is not YAML.
    """
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(
            f"--set {text}: expected section.key=value, such as engine.batch_size=64."
        )
    return key.strip(), parse_yaml(value, f"--set {text}")


_KEYWORDS = {
    "dataset": "dataset.name",
    "data_root": "dataset.root",
    "steps": "engine.steps",
    "epochs": "engine.epochs",
    "batch_size": "engine.batch_size",
    "seed": "engine.seed",
    "device": "engine.device",
    "precision": "engine.precision",
    "max_time": "engine.max_time",
}


def given_settings(
    overrides: Mapping[str, Any] | None, *, until: str | None = None, **keywords: Any
) -> dict[str, Any]:
    """Return settings by dotted key: the overrides plus the keyword arguments of ``train``.

    Keywords that are None are ignored.

    Raises:
        ConfigError: a setting is given two different values, or ``until`` is malformed.
    """
    values = dict(overrides or {})
    named = {
        _KEYWORDS[name]: (name, os.fspath(value) if isinstance(value, os.PathLike) else value)
        for name, value in keywords.items()
        if value is not None
    }
    if until is not None:
        named |= {key: ("until", value) for key, value in parse_standard(until).items()}
    for key, (name, value) in named.items():
        if values.get(key, value) != value:
            shown_value = until if name == "until" else shown(value)
            raise ConfigError(
                f"'{key}' is given twice: {name}={shown_value} and {key}={shown(values[key])}. "
                "Leave one of them out."
            )
        values[key] = value
    return values


def nest(assignments: Mapping[str, Any]) -> dict[str, Any]:
    """Turn ``{"engine.seed": 1}`` into ``{"engine": {"seed": 1}}``.

    Raises:
        ConfigError: a key does not start with a section, has an empty part, or clashes with
            another key.
    """
    nested: dict[str, Any] = {}
    for key, value in assignments.items():
        section, *path = key.split(".")
        if section not in SECTIONS:
            raise ConfigError(
                f"There is no setting '{key}': keys start with one of {', '.join(SECTIONS)}."
                + did_you_mean(section, SECTIONS)
            )
        if not path or not all(path):
            raise ConfigError(f"There is no setting '{key}': expected a key such as engine.seed.")
        node = nested.setdefault(section, {})
        for depth, part in enumerate(path[:-1], start=1):
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                above = ".".join([section, *path[:depth]])
                raise ConfigError(
                    f"'{key}' is set, and '{above}' above it is set to {shown(node)}; give one."
                )
        old, new = node.get(path[-1]), _plain(value)
        if isinstance(old, dict) and not isinstance(new, dict):
            below = ", ".join(f"'{name}'" for name, _ in leaves(old, f"{key}."))
            raise ConfigError(
                f"'{key}' is set to {shown(new)}, and {below} below it too; give one."
            )
        node[path[-1]] = merge(old, new) if isinstance(old, dict) else new
    return nested


def _plain(value: Any) -> Any:
    """Copy mappings, since they are merged later, and turn paths into strings."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return os.fspath(value) if isinstance(value, os.PathLike) else value


_OF_A_RUN = ("schema_version", "recipe", "preset", "parents", "initial")


def read_config_file(path: Path) -> Layer:
    """Read a ``--config`` file: the four sections, each optional, and ``schema_version``.

    A run's ``config.yaml`` is also accepted; its ``recipe`` and ``preset`` are ignored, since the
    command names them, and so is what it says of other runs.

    Raises:
        ConfigError: not YAML, an unknown section, a section that is not a mapping, or an invalid
            or newer ``schema_version``.
    """
    data = load_yaml(path)
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected sections such as 'engine:', found {shown(data)}.")
    version = data.get("schema_version", SCHEMA_VERSION)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ConfigError(
            f"{path}: schema_version must be {SCHEMA_VERSION}, found {shown(version)}."
        )
    if version > SCHEMA_VERSION:
        raise ConfigError(
            f"{path}: schema_version {version} is newer than this aigc reads ({SCHEMA_VERSION}). "
            "Upgrade with: pip install --upgrade aigc-core"
        )
    sections = {key: value for key, value in data.items() if key not in _OF_A_RUN}
    return check_sections(Layer(str(path), sections))


def check_sections(layer: Layer) -> Layer:
    """Return the layer without its empty (null) sections.

    Raises:
        ConfigError: an unknown section, or a section that is not a mapping.
    """
    for key, value in layer.values.items():
        if key not in SECTIONS:
            section, dot, rest = key.partition(".")
            hint = (
                f" Write '{rest}:' below '{section}:'."
                if dot and section in SECTIONS
                else did_you_mean(key, SECTIONS)
            )
            raise ConfigError(f"{layer.source}: there is no section '{key}'.{hint}")
        if value is not None and not isinstance(value, Mapping):
            raise ConfigError(
                f"{layer.source}: '{key}' must hold keys of its own, found {shown(value)}."
            )
    return Layer(layer.source, {k: v for k, v in layer.values.items() if v is not None})


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield ``(dotted key, value)`` for every value that is not a non-empty mapping."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge ``over`` into a copy of ``base``, recursively; values in ``over`` win."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(old, value) if both else value  # type: ignore[arg-type]
    return merged

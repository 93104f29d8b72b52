"""Explains an invalid setting in a sentence: its key, its value, its owner, and who set it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import ValidationError

from aigc_core.complaints import first_complaint
from aigc_core.config.layers import leaves
from aigc_core.errors import nearest, shown
from aigc_core.interfaces.config import ConfigModel


@dataclass(frozen=True)
class Section:
    """A part of the configuration: its schema and its owner."""

    key: str
    schema: type[ConfigModel]
    owner: str


def source_of(key: str, sources: Mapping[str, str]) -> str | None:
    """Return the layer that set a key, or a parent such as a list, or else a key below it."""
    above = key.split(".")
    while above:
        if (known := ".".join(above)) in sources:
            return sources[known]
        above.pop()
    below = [source for k, source in sources.items() if k.startswith(f"{key}.")]
    return below[-1] if below else None


def explain(
    section: Section,
    error: ValidationError,
    values: Mapping[str, Any],
    sources: Mapping[str, str],
    sections: Sequence[Section],
) -> str:
    """Turn pydantic's first complaint into a sentence."""
    complaint = first_complaint(error, values)
    key = f"{section.key}.{complaint.key}" if complaint.path else section.key
    plain_key = ".".join([section.key, *(p for p in complaint.path if isinstance(p, str))])
    origin = origin_of(plain_key, sources)
    owned = f"'{section.key}.*' belongs to {section.owner}."
    if complaint.kind == "extra_forbidden":
        hint = _nearest_setting(section, complaint.path, key, sections)
        return f"There is no setting '{key}'{origin}; {owned}{hint}"
    if complaint.kind == "missing":
        return f"The setting '{key}' is missing; {owned} Give it with: --set {key}=VALUE"
    if complaint.kind in ("value_error", "assertion_error") and isinstance(
        complaint.value, Mapping | ConfigModel
    ):
        return f"{key}: {complaint.problem}{_mentioned(key, complaint.problem, sources)}."
    if isinstance(complaint.value, Mapping) and complaint.value and complaint.path:
        below = next(leaves(complaint.value, f"{key}."))[0]
        return (
            f"There is no setting '{below}'{origin}: '{key}' is a value itself, "
            f"and {complaint.problem}."
        )
    return f"{key}={shown(complaint.value)}{origin} is not valid: {complaint.problem}."


def origin_of(key: str, sources: Mapping[str, str]) -> str:
    """Return ``" (from <layer>)"``, or nothing for a default."""
    source = source_of(key, sources)
    return f" (from {source})" if source else ""


def _mentioned(key: str, problem: str, sources: Mapping[str, str]) -> str:
    """For a complaint that names several settings, say where each came from."""
    words = [f"{key}.{word}" for word in dict.fromkeys(re.findall(r"\w+", problem))]
    known = [f"{name} from {sources[name]}" for name in words if name in sources]
    return f" ({', '.join(known)})" if known else ""


def _nearest_setting(
    section: Section, path: Sequence[str | int], key: str, sections: Sequence[Section]
) -> str:
    """Suggest where a setting of exactly this name exists, else the closest name beside it."""
    name = str(path[-1])
    above = key.removesuffix(f".{name}")
    if "." in name:
        first, _, rest = name.partition(".")
        return f" In a file, write '{rest}:' below '{first}:'."
    every = [k for s in sections for k in _every_key(s.schema, s.key)]
    namesakes = [k for k in every if k.split(".")[-1] == name]
    namesakes = [k for k in namesakes if k.startswith(f"{section.key}.")] or namesakes
    if namesakes:
        return f" Did you mean {' or '.join(repr(k) for k in namesakes)}?"
    names = [
        field for model in _models_at(section.schema, path[:-1]) for field in model.model_fields
    ]
    close = nearest(name, names)
    if close is not None:
        return f" Did you mean '{above}.{close}'?"
    if not names:
        return " It has no settings."
    return f" Valid: {', '.join(f'{above}.{field}' for field in sorted(names))}."


def _models_at(schema: type[ConfigModel], path: Sequence[str | int]) -> list[type[ConfigModel]]:
    """Return the models that may occur at a path, through lists, mappings and unions."""
    models = [schema]
    for part in path:
        fields = [m.model_fields[part] for m in models if part in m.model_fields]
        if fields:  # else the part is a list index or a mapping key
            models = [m for field in fields for m in models_in(field.annotation)]
    return models


def models_in(annotation: Any) -> list[type[ConfigModel]]:
    """Return the settings classes in an annotation, including inside unions, lists and mappings."""
    if isinstance(annotation, type) and issubclass(annotation, ConfigModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in models_in(inner)]


def _every_key(schema: type[ConfigModel], prefix: str) -> Iterator[str]:
    for name, field in schema.model_fields.items():
        key = f"{prefix}.{name}"
        yield key
        if isinstance(field.annotation, type) and issubclass(field.annotation, ConfigModel):
            yield from _every_key(field.annotation, key)

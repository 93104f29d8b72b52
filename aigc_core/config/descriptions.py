"""JSON Schema of settings, with the docstrings under the fields as descriptions.

Pydantic can read them when a class is created (``use_attribute_docstrings``), but then every
command parses source code at start-up; here that happens only when the schema is requested.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
from typing import Any

from aigc_core.config.explain import models_in
from aigc_core.interfaces.config import ConfigModel


def described_schema(model: type[ConfigModel]) -> dict[str, Any]:
    """Return a model's JSON Schema, described by the docstrings of its and its parts' fields."""
    schema = model.model_json_schema()
    for part in _with_parts(model):
        described = schema if part is model else schema.get("$defs", {}).get(part.__name__, {})
        for name, text in _docstrings(part).items():
            if name in described.get("properties", {}):
                described["properties"][name]["description"] = text
    return schema


def described_fields(config: ConfigModel, prefix: str = "") -> dict[str, str]:
    """Return descriptions of a configuration's settings, nested ones too, by dotted key."""
    texts = _docstrings(type(config))
    found: dict[str, str] = {}
    for name in type(config).model_fields:
        if name in texts:
            found[f"{prefix}{name}"] = texts[name]
        value = getattr(config, name)
        if isinstance(value, ConfigModel):
            found |= described_fields(value, f"{prefix}{name}.")
    return found


def _with_parts(model: type[ConfigModel]) -> list[type[ConfigModel]]:
    found, waiting = [], [model]
    while waiting:
        part = waiting.pop()
        found.append(part)
        inner = [m for f in part.model_fields.values() for m in models_in(f.annotation)]
        waiting += [m for m in inner if m not in found]
    return found


def _docstrings(model: type[ConfigModel]) -> dict[str, str]:
    """Return the string literals that follow a class's fields, and those of its bases."""
    texts: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        if not issubclass(cls, ConfigModel):
            continue
        try:
            source = textwrap.dedent(inspect.getsource(cls))
        except (OSError, TypeError):  # no source: defined in an interactive shell
            continue
        (definition,) = ast.parse(source).body
        body = definition.body if isinstance(definition, ast.ClassDef) else []
        for field, after in itertools.pairwise(body):
            match field, after:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str() as text)),
                ):
                    texts[name] = inspect.cleandoc(text)
    return texts

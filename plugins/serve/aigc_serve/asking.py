"""From a client's fields to a checked request of a model."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import re
import secrets
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from aigc_core.api import Request
from aigc_core.errors import UserError, raised_at
from aigc_core.interfaces import ConfigModel
from aigc_core.serving import LimitError, ServedModel
from aigc_serve.errors import ApiError
from aigc_serve.service import Service

logger = logging.getLogger("aigc")
Made = TypeVar("Made")


class File(ConfigModel):
    """A file as a value of a condition."""

    data: str
    """Its bytes in base64."""
    type: str
    """Its format, as a file's suffix without the dot, such as ``png``."""


@dataclass(frozen=True)
class Upload:
    """The bytes of a client's file."""

    data: bytes
    type: str


Given = str | int | File | Upload


def new_seed(seed: int | None) -> int:
    """Return a seed: the one that was given, or one that JavaScript can hold exactly."""
    return secrets.randbelow(2**53) if seed is None else seed


def conditions_of(model: ServedModel) -> dict[str, dict[str, Any]]:
    """Return a model's conditions, as ``RequestValidator.describe`` does."""
    found: dict[str, dict[str, Any]] = model.description["conditions"]
    return found


def by_text(
    model: ServedModel, text: str, label: str | int | None, field: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what a text and a class ask of a model, as keywords of ``Request``.

    The text is the value of the one condition that is text; else the name of a class; and nothing
    if it is empty, unless it is needed.

    Args:
        model: that is asked.
        text: of the client.
        label: a class that the client gives besides.
        field: the client's field for the text.

    Returns:
        The keywords; and of which of the client's fields they came, where the names differ.

    Raises:
        ApiError: the model takes no text, or the class is given twice.
    """
    found = {} if label is not None and not text else _prompted(model, text, field)
    if label is not None and "label" in found:
        raise ApiError(400, f"The class is given twice, by '{field}' and 'label'.", param="label")
    fields = {"prompt": field} | ({"label": field} if label is None else {})
    return {"label": label, **found}, fields


def _prompted(model: ServedModel, prompt: str, field: str) -> dict[str, Any]:
    known = conditions_of(model)
    texts = [name for name, found in known.items() if found["kind"] == "text"]
    if not prompt and not any(known[name]["required"] for name in texts):
        return {}
    if len(texts) == 1:
        return {"prompt": prompt}
    if texts:
        names = ", ".join(texts)
        raise ApiError(
            400, f"{model.name} takes several texts. Give them in 'inputs': {names}.", param=field
        )
    if "label" in known:
        return {"label": prompt}
    raise ApiError(
        400,
        f"{model.name} takes neither a text nor a class. Send an empty '{field}'.",
        param=field,
    )


async def checked(
    service: Service,
    model: ServedModel,
    asked: Mapping[str, Any],
    inputs: Mapping[str, Given],
    params: Mapping[str, str],
    make: Callable[[Request], Made],
) -> Made:
    """Return ``make(request)``, computed in another thread, with clients' files at hand.

    Args:
        service: that the model belongs to.
        model: that is asked.
        asked: keywords of ``Request`` other than ``inputs``.
        inputs: values of conditions, by name.
        params: of keywords of ``Request``, the client's fields that they came from.
        make: what checks a request and returns its work; it needs no files afterwards.

    Raises:
        ApiError: the model cannot be asked for that; ``param`` names the field.
    """
    async with service.reading:
        return await asyncio.to_thread(_made, model, dict(asked), inputs, params, make)


def _made(
    model: ServedModel,
    asked: dict[str, Any],
    inputs: Mapping[str, Given],
    params: Mapping[str, str],
    make: Callable[[Request], Made],
) -> Made:
    with ExitStack() as files:
        values = {name: _value(model, name, value, params, files) for name, value in inputs.items()}
        _check_required(model, asked, values, params)
        try:
            request = Request(**asked, inputs=values)
            return make(request)
        except LimitError as error:
            where = params.get(error.field, f"controls.{error.field}")
            raise ApiError(400, str(error), param=where, code="limit") from None
        except UserError as error:
            field = _param(model, asked, values, params)
            raise ApiError(400, _without_paths(str(error), values), param=field) from None
        except ApiError:
            raise
        except Exception as error:
            if not any(isinstance(value, Path) for value in values.values()):
                raise
            logger.warning("A client's file could not be decoded: %s", raised_at(error))
            raise ApiError(400, "A file cannot be decoded.", param="inputs") from None


def _value(
    model: ServedModel,
    name: str,
    value: Given,
    params: Mapping[str, str],
    files: ExitStack,
) -> str | int | Path:
    """Return a condition's value; of a string of the client's, never a path."""
    known = conditions_of(model)
    where = f"{params.get('inputs', 'inputs')}.{name}"[:200]
    if name not in known:
        options = ", ".join(known) or "none"
        raise ApiError(400, f"{model.name} has no such condition; it has: {options}.", param=where)
    kind = known[name]["kind"]
    if isinstance(value, File | Upload):
        if kind == "class":
            raise ApiError(400, f"'{name}' is a class, not a file.", param=where)
        return _written(model, name, value, where, files)
    if kind == "file":
        raise ApiError(
            400,
            f"'{name}' is a file: send {{'data': BASE64, 'type': 'png'}}, or multipart.",
            param=where,
        )
    if kind == "text" and not isinstance(value, str):
        raise ApiError(400, f"'{name}' is a text.", param=where)
    return value


def _written(
    model: ServedModel, name: str, file: File | Upload, where: str, files: ExitStack
) -> Path:
    """Write a client's file in a folder of its own, under a name that is not the client's."""
    column = model.sampler.generator.conditions[name].column
    modality = model.modalities[column]
    path = Path(f"input.{file.type}")
    if not re.fullmatch(r"[a-z0-9]{1,8}", file.type) or not modality.is_readable(path):
        examples = ", ".join(modality.formats)
        raise ApiError(
            400, f"'{name}' takes no file of that type, but such as: {examples}.", param=where
        )
    data = file.data
    if isinstance(data, str):
        try:
            data = base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            raise ApiError(400, f"The data of '{name}' is no base64.", param=where) from None
    folder = files.enter_context(tempfile.TemporaryDirectory(prefix="aigc-"))
    written = Path(folder) / path
    written.write_bytes(data)
    return written


def _without_paths(message: str, values: Mapping[str, object]) -> str:
    for name, value in values.items():
        if isinstance(value, Path):
            message = message.replace(str(value), f"The file for '{name}'")
            message = message.replace(value.name, f"the file for '{name}'")
    return message


def _check_required(
    model: ServedModel,
    asked: Mapping[str, Any],
    values: Mapping[str, object],
    params: Mapping[str, str],
) -> None:
    known = conditions_of(model)
    texts = [name for name, found in known.items() if found["kind"] == "text"]
    for name, found in known.items():
        given = name in values or (name == "label" and asked.get("label") is not None)
        by_prompt = [name] == texts and asked.get("prompt") is not None
        if found["required"] and not given and not by_prompt:
            where = params.get("prompt", "prompt") if [name] == texts else f"inputs.{name}"
            raise ApiError(400, f"{model.name} draws nothing without '{name}'.", param=where)


def _param(
    model: ServedModel,
    asked: Mapping[str, Any],
    values: Mapping[str, Any],
    params: Mapping[str, str],
) -> str | None:
    """Return the client's field that a model does not take, by trying each alone."""
    validator = model.sampler.validator

    def fails(check: Any, **keywords: Any) -> bool:
        try:
            check(Request(**keywords))
        except UserError:
            return True
        return False

    for key, value in asked.get("controls", {}).items():
        if fails(validator.controls, controls={key: value}):
            return params.get(key, f"controls.{key}"[:200])
    if asked.get("controls") and fails(validator.controls, controls=asked["controls"]):
        return "controls"
    if asked.get("want") and fails(validator.wanted, want=asked["want"]):
        return params.get("want", "outputs")
    for key in ("count", "seed"):
        if key in asked and fails(lambda request: None, **{key: asked[key]}):
            return params.get(key, key)
    given = values
    for key in ("label", "prompt"):
        if asked.get(key) is not None and fails(
            validator.conditions, **{key: asked[key], "inputs": given}
        ):
            return params.get(key, key)
    for name in values:
        return f"inputs.{name}"
    return None

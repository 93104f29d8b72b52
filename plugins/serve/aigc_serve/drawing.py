"""Samples as bytes of files: what images, speech and any other content have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from pydantic import Field
from torch import Tensor

from aigc_core.interfaces import ConfigModel
from aigc_core.serving import ServedModel
from aigc_core.serving.worker import Work
from aigc_serve.asking import File
from aigc_serve.errors import ApiError
from aigc_serve.service import Service


class Extras(ConfigModel):
    """Fields that every way of asking has, beyond those that clients know."""

    seed: int | None = Field(default=None, ge=0, lt=2**63)
    """The same request with the same seed gives the same bytes; null for any seed. The answer
    says which it was."""
    controls: dict[str, Any] = {}
    """How to draw, as the model's ``controls`` describe it."""
    inputs: dict[str, str | int | File] = Field(default={}, max_length=32)
    """Values of the model's conditions: a text, a class, or a file."""


async def encoded(
    service: Service, model: ServedModel, work: Work, formats: Mapping[str, str]
) -> dict[str, list[bytes]]:
    """Return all samples of a model's work as the bytes of files, by output."""
    found: dict[str, list[bytes]] = {column: [] for column in formats}
    with service.ask(model, work) as answer:
        async for piece in answer.pieces():
            files = await asyncio.to_thread(_files, model, piece, formats)
            for column, items in files.items():
                found[column] += items
            service.metrics.drew(model.name, len(next(iter(files.values()))))
    return found


def _files(
    model: ServedModel, stored: Mapping[str, Tensor], formats: Mapping[str, str]
) -> dict[str, list[bytes]]:
    return {
        column: [model.modalities[column].encoded(sample, format) for sample in stored[column]]
        for column, format in formats.items()
    }


def output_of(model: ServedModel, kind: str) -> str:
    """Return the first output whose default format is of a kind of media, such as ``image``.

    Raises:
        ApiError: there is none.
    """
    for column in model.outputs:
        modality = model.modalities[column]
        if modality.media_type(modality.formats[0]).startswith(f"{kind}/"):
            return column
    raise ApiError(
        400,
        f"{model.name} makes no {kind}. Ask it through /aigc/v1/generate; /v1/models says what it "
        "makes.",
        param="model",
    )


def format_of(model: ServedModel, column: str, name: str | None, field: str) -> str:
    """Return a format of an output: the default, or the one that is named.

    Raises:
        ApiError: there is none of that name.
    """
    formats = model.modalities[column].formats
    if name is None:
        return formats[0]
    if name not in formats:
        raise ApiError(
            400, f"{model.name} gives {', '.join(formats)}, not that format.", param=field
        )
    return name

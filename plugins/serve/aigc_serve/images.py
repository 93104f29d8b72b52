"""``POST /v1/images/generations``."""

from __future__ import annotations

import base64
import time
from typing import Any, Literal

from pydantic import Field
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from aigc_core.serving import ServedModel
from aigc_serve.asking import by_text, checked, new_seed
from aigc_serve.drawing import Extras, encoded, format_of, output_of
from aigc_serve.errors import ApiError, json_response
from aigc_serve.service import Service


class ImageRequest(Extras):
    """What clients may send; other fields of theirs are refused."""

    model: str | None = None
    """Name of the model; not needed if there is one only."""
    prompt: str = ""
    """A text, or the name of a class, as the model takes it; empty for neither."""
    n: int | None = Field(default=None, ge=1)
    """How many images; 1 if it is not said."""
    size: str | None = None
    """``auto``, or the model's own size, such as ``28x28``."""
    label: str | int | None = None
    """Name or number of a class."""
    output_format: str | None = None
    """One of the model's formats."""
    response_format: Literal["b64_json"] | None = None
    stream: Literal[False] | None = None
    partial_images: Literal[0] | None = None
    background: Literal["auto", "opaque"] | None = None
    quality: Literal["auto", "standard"] | None = None
    moderation: Literal["auto"] | None = None
    user: str | None = None
    """Not used."""
    safety_identifier: str | None = None
    """Not used."""


async def images(service: Service, request: HttpRequest) -> Response:
    """Draw images."""
    body = await service.body(request, ImageRequest)
    model = service.model(body.model)
    column = output_of(model, "image")
    size = _size(model, column)
    if body.size not in (None, "auto", size):
        raise ApiError(
            400, f"{model.name} makes images of one size: '{size}', or 'auto'.", param="size"
        )
    format = format_of(model, column, body.output_format, "output_format")
    seed = new_seed(body.seed)
    asked: dict[str, Any] = {
        "count": 1 if body.n is None else body.n,
        "seed": seed,
        "controls": body.controls,
        "want": [column],
    }
    given, fields = by_text(model, body.prompt, body.label, "prompt")
    fields |= {"count": "n"}
    work = await checked(service, model, asked | given, body.inputs, fields, model.draw)
    files = await encoded(service, model, work, {column: format})
    return json_response(
        {
            "created": int(time.time()),
            "data": [{"b64_json": base64.b64encode(file).decode()} for file in files[column]],
            "output_format": format,
            "size": size,
            "model": model.name,
            "seed": seed,
            "controls": body.controls,
        }
    )


def _size(model: ServedModel, column: str) -> str:
    height, width = model.modalities[column].spec.shape[-2:]
    return f"{width}x{height}"

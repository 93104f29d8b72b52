"""``POST /v1/audio/speech``."""

from __future__ import annotations

import io
import wave
from typing import Literal

from pydantic import Field
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from aigc_serve.asking import by_text, checked, new_seed
from aigc_serve.drawing import Extras, encoded, format_of, output_of
from aigc_serve.service import Service

PCM = "pcm"
"""The samples alone: 16 bits, little-endian, channels interleaved."""


class SpeechRequest(Extras):
    """What clients may send; other fields of theirs are refused."""

    model: str | None = None
    """Name of the model; not needed if there is one only."""
    input: str = ""
    """A text, or the name of a class, as the model takes it; empty for neither."""
    voice: Literal["default"] = "default"
    """A model has one voice, or its classes are voices: see ``label``."""
    label: str | int | None = None
    """Name or number of a class."""
    response_format: str | None = None
    """One of the model's formats, or ``pcm``; the first of its formats if it is not said."""
    speed: float = Field(default=1.0, ge=1, le=1)
    stream_format: Literal["audio"] | None = None


async def speech(service: Service, request: HttpRequest) -> Response:
    """Draw one sound."""
    body = await service.body(request, SpeechRequest)
    model = service.model(body.model)
    column = output_of(model, "audio")
    wants_pcm = body.response_format == PCM and "wav" in model.modalities[column].formats
    name = "wav" if wants_pcm else body.response_format
    format = format_of(model, column, name, "response_format")
    seed = new_seed(body.seed)
    asked = {"count": 1, "seed": seed, "controls": body.controls, "want": [column]}
    given, fields = by_text(model, body.input, body.label, "input")
    work = await checked(service, model, asked | given, body.inputs, fields, model.draw)
    [file] = (await encoded(service, model, work, {column: format}))[column]
    media_type = model.modalities[column].media_type(format)
    if wants_pcm:
        file, media_type = _samples_of(file)
    file_name = f"{model.name}-{seed}.{PCM if wants_pcm else format}"
    headers = {
        "content-disposition": f'inline; filename="{file_name}"',
        "x-aigc-model": model.name,
        "x-aigc-seed": str(seed),
    }
    return Response(file, headers=headers, media_type=media_type)


def _samples_of(wav: bytes) -> tuple[bytes, str]:
    """Return the samples of a WAV of 16 bits, and a media type that says how to play them."""
    with wave.open(io.BytesIO(wav)) as file:
        rate_hz, channels = file.getframerate(), file.getnchannels()
        return file.readframes(file.getnframes()), f"audio/pcm;rate={rate_hz};channels={channels}"

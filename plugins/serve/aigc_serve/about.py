"""What there is: models, health, counts, and the description of this interface."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

import aigc_serve
from aigc_core.interfaces import ConfigModel
from aigc_core.serving import ServedModel
from aigc_serve.drawing import output_of
from aigc_serve.errors import ApiError, json_response
from aigc_serve.images import ImageRequest
from aigc_serve.native import GenerateRequest
from aigc_serve.service import Service
from aigc_serve.speech import SpeechRequest
from aigc_serve.texts import JOINED, ChatRequest, CompletionRequest

_BODIES: dict[str, tuple[str, type[ConfigModel], tuple[str, ...]]] = {
    "/v1/images/generations": ("Draw images", ImageRequest, ("application/json",)),
    "/v1/audio/speech": ("Draw one sound", SpeechRequest, ("application/json", "audio/*")),
    "/v1/completions": (
        "Continue texts",
        CompletionRequest,
        ("application/json", "text/event-stream"),
    ),
    "/v1/chat/completions": (JOINED, ChatRequest, ("application/json", "text/event-stream")),
    "/aigc/v1/generate": ("Draw any content", GenerateRequest, ("application/json",)),
    "/aigc/v1/jobs": ("Draw any content, and fetch it later", GenerateRequest, ()),
}
_READS = {
    "/v1/models": "List the models",
    "/v1/models/{model}": "Say what a model can be asked for",
    "/aigc/v1/jobs/{job}": "Say how far a job is, with its result",
    "/healthz": "Whether the process answers",
    "/readyz": "Whether models are loaded, and requests are taken",
    "/metrics": "Counts in Prometheus' text format",
    "/openapi.json": "This document",
}


async def models(service: Service, request: Request) -> Response:
    """List the models."""
    data = [_about(service, model) for model in service.pool.models.values()]
    return json_response({"object": "list", "data": data})


async def model(service: Service, request: Request) -> Response:
    """Say what a model can be asked for."""
    return json_response(_about(service, service.model(request.path_params["model"])))


def _about(service: Service, model: ServedModel) -> dict[str, Any]:
    answers = ["/aigc/v1/generate", "/aigc/v1/jobs"]
    for kind, path in (("image", "/v1/images/generations"), ("audio", "/v1/audio/speech")):
        try:
            output_of(model, kind)
        except ApiError:
            continue
        answers.append(path)
    notes = {}
    if model.codec is not None:
        answers += ["/v1/completions", "/v1/chat/completions"]
        notes["chat"] = JOINED
    return {
        "id": model.name,
        "object": "model",
        "created": service.started,
        "owned_by": "aigc",
        "aigc": {**model.description, "endpoints": sorted(answers), "notes": notes},
    }


async def alive(service: Service, request: Request) -> Response:
    """Say that the process answers."""
    return json_response({"status": "ok"})


async def ready(service: Service, request: Request) -> Response:
    """Say whether requests are taken."""
    if not service.pool.is_open:
        raise ApiError(503, "The server is shutting down.", code="shutting_down")
    return json_response({"status": "ok", "models": len(service.pool.models)})


async def metrics(service: Service, request: Request) -> Response:
    """Give all counts."""
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")


async def openapi(service: Service, request: Request) -> Response:
    """Describe this interface (OpenAPI 3.1)."""
    return json_response(document())


def document() -> dict[str, Any]:
    """Return the description of this interface as JSON data."""
    schemas: dict[str, Any] = {
        "Error": {
            "type": "object",
            "required": ["error"],
            "properties": {
                "error": {
                    "type": "object",
                    "required": ["message", "type", "param", "code"],
                    "properties": {
                        "message": {"type": "string"},
                        "type": {"type": "string"},
                        "param": {"type": ["string", "null"]},
                        "code": {"type": ["string", "null"]},
                    },
                }
            },
        }
    }
    error = {
        "description": "What is wrong, and with which field",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    paths: dict[str, Any] = {}
    for path, (summary, kind, media_types) in _BODIES.items():
        schema = kind.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schema.pop("$defs", {})
        schemas[kind.__name__] = schema
        content: dict[str, Any] = {
            "application/json": {"schema": {"$ref": f"#/components/schemas/{kind.__name__}"}}
        }
        if kind is GenerateRequest:
            form = {"request": {"type": "string", "contentMediaType": "application/json"}}
            content["multipart/form-data"] = {
                "schema": {
                    "type": "object",
                    "properties": form,
                    "additionalProperties": {"type": "string", "format": "binary"},
                }
            }
        accepted = {"description": "The answer", "content": {name: {} for name in media_types}}
        done = "200" if media_types else "202"
        paths[path] = {
            "post": {
                "summary": summary,
                "operationId": path.strip("/").replace("/", "-"),
                "requestBody": {"required": True, "content": content},
                "responses": {
                    done: accepted if media_types else {"description": "The job"},
                    "default": error,
                },
            }
        }
    for path, summary in _READS.items():
        operation: dict[str, Any] = {
            "summary": summary,
            "responses": {"200": {"description": "The answer"}, "default": error},
        }
        names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        if names:
            operation["parameters"] = [
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                for name in names
            ]
        paths.setdefault(path, {})["get"] = operation
    deletes = {**paths["/aigc/v1/jobs/{job}"]["get"], "summary": "Stop a job and forget it"}
    paths["/aigc/v1/jobs/{job}"]["delete"] = deletes
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "aigc serve",
            "version": aigc_serve.__version__,
            "description": "Draws from trained models. /v1 is a part of OpenAI's interface.",
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
        "paths": paths,
    }

"""``POST /aigc/v1/generate``, for any content and any condition, and jobs that do the same."""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from aigc_core.serving import ServedModel
from aigc_core.serving.worker import Work
from aigc_serve.asking import Given, Upload, checked, new_seed
from aigc_serve.drawing import Extras, encoded, format_of
from aigc_serve.errors import ApiError, api_error, json_response
from aigc_serve.service import Service, as_kind, media_type_of, parsed, too_large

KEPT_JOBS = 64
"""Jobs that are remembered; of more, the oldest that have ended are forgotten."""
KEPT_BYTES = 256 * 2**20
"""Bytes of jobs' results that are remembered."""


class GenerateRequest(Extras):
    """What a model can be asked for, whatever it makes."""

    model: str | None = None
    """Name of the model; not needed if there is one only."""
    count: int = Field(default=1, ge=1)
    """How many samples."""
    label: str | int | None = None
    """Name or number of a class; null for each in turn."""
    prompt: str | None = None
    """The value of the one condition that is text."""
    outputs: list[str] = Field(default=[], max_length=32)
    """Which of the model's outputs; none for all."""
    format: str | dict[str, str] | None = None
    """A format, or one for each output; null for the first that each has."""


@dataclass
class Asked:
    """A request that a model can answer."""

    model: ServedModel
    work: Work
    formats: dict[str, str]
    about: dict[str, Any]


async def generate(service: Service, request: HttpRequest) -> Response:
    """Draw samples of any content."""
    asked = await _asked(service, request)
    return json_response(await _result(service, asked))


async def _asked(service: Service, request: HttpRequest) -> Asked:
    body, files = await _body(service, request)
    model = service.model(body.model)
    for name in files:
        if name in body.inputs:
            raise ApiError(400, "A condition is given twice.", param=f"inputs.{name}"[:200])
    seed = new_seed(body.seed)
    request_fields = {
        "count": body.count,
        "seed": seed,
        "label": body.label,
        "prompt": body.prompt,
        "controls": body.controls,
        "want": body.outputs,
    }

    def make(asked: Any) -> tuple[Work, tuple[str, ...], dict[str, Any]]:
        validator = model.sampler.validator
        controls = validator.controls(asked).model_dump(mode="json")
        return model.draw(asked), validator.wanted(asked), controls

    inputs: dict[str, Given] = {**body.inputs, **files}
    work, wanted, controls = await checked(service, model, request_fields, inputs, {}, make)
    about = {
        "model": model.name,
        "step": model.sampler.step,
        "count": body.count,
        "seed": seed,
        "controls": controls,
    }
    return Asked(model, work, _formats(model, wanted, body.format), about)


def _formats(
    model: ServedModel, wanted: tuple[str, ...], asked: str | dict[str, str] | None
) -> dict[str, str]:
    if isinstance(asked, dict):
        for column in asked:
            if column not in wanted:
                raise ApiError(400, "That is no output here.", param=f"format.{column}"[:200])
        return {c: format_of(model, c, asked.get(c), f"format.{c}") for c in wanted}
    if asked is None or len(wanted) == 1:
        return {column: format_of(model, column, asked, "format") for column in wanted}
    having = [column for column in wanted if asked in model.modalities[column].formats]
    if not having:
        raise ApiError(400, f"No output of {model.name} has that format.", param="format")
    return {c: asked if c in having else model.modalities[c].formats[0] for c in wanted}


async def _result(service: Service, asked: Asked) -> dict[str, Any]:
    files = await encoded(service, asked.model, asked.work, asked.formats)
    outputs = {}
    for column, format in asked.formats.items():
        modality = asked.model.modalities[column]
        media_type = modality.media_type(format)
        is_text = media_type.startswith("text/")
        outputs[column] = {
            "modality": asked.model.description["outputs"][column]["modality"],
            "format": format,
            "media_type": media_type,
            "encoding": "utf-8" if is_text else "base64",
            "items": [
                file.decode(errors="replace") if is_text else base64.b64encode(file).decode()
                for file in files[column]
            ],
        }
    return {"created": int(time.time()), **asked.about, "outputs": outputs}


async def _body(
    service: Service, request: HttpRequest
) -> tuple[GenerateRequest, Mapping[str, Upload]]:
    """Read JSON, or a form whose field ``request`` is JSON and whose files are conditions."""
    if media_type_of(request) != "multipart/form-data":
        return await service.body(request, GenerateRequest), {}
    raw = await service.raw_body(request)

    async def once() -> Any:
        yield raw

    most = service.max_body_bytes
    parser = MultiPartParser(
        request.headers, once(), max_files=32, max_fields=1, max_part_size=most
    )
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError, UnicodeDecodeError):
        raise ApiError(400, "The form cannot be read.") from None
    try:
        data: dict[str, Any] = {}
        files: dict[str, Upload] = {}
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                if name in files:
                    raise ApiError(400, "A file is given twice.", param=f"inputs.{name}"[:200])
                suffix = (value.filename or "").rpartition(".")[2].lower()
                content = await value.read(most + 1)
                if len(content) > most:
                    raise too_large(most)
                files[name] = Upload(content, suffix)
            elif name != "request":
                raise ApiError(
                    400,
                    "A form has the field 'request', which is JSON, and files.",
                    param="request",
                )
            else:
                data = parsed(value)
    finally:
        await form.close()
    return as_kind(data, GenerateRequest), files


@dataclass
class Job:
    """A request whose answer is fetched later."""

    asked: Asked
    task: asyncio.Task[None] | None = None
    created: int = field(default_factory=lambda: int(time.time()))
    status: str = "running"
    result: dict[str, Any] | None = None
    error: ApiError | None = None
    size: int = 0


class Jobs:
    """Requests that are worked on whether or not somebody waits; kept in memory."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    async def create(self, service: Service, request: HttpRequest) -> Response:
        """Take a request as ``generate`` does, and answer at once."""
        running = sum(job.status == "running" for job in self._jobs.values())
        if running >= KEPT_JOBS:
            raise ApiError(
                429,
                f"{running} jobs run already.",
                code="queue_full",
                headers={"retry-after": "10"},
            )
        asked = await _asked(service, request)
        name = f"job-{secrets.token_hex(16)}"
        job = self._jobs[name] = Job(asked)
        job.task = asyncio.create_task(self._run(service, job))
        self._forget_old()
        return json_response(self._about(name, job), 202, {"location": f"/aigc/v1/jobs/{name}"})

    async def read(self, service: Service, request: HttpRequest) -> Response:
        """Say how far a job is, with its result if there is one."""
        name, job = self._job(request)
        return json_response(self._about(name, job))

    async def delete(self, service: Service, request: HttpRequest) -> Response:
        """Stop a job and forget it."""
        name, job = self._job(request)
        del self._jobs[name]
        if job.task is not None:
            job.task.cancel()
        return json_response({"id": name, "object": "aigc.job", "deleted": True})

    def _job(self, request: HttpRequest) -> tuple[str, Job]:
        name = request.path_params["job"]
        if name not in self._jobs:
            raise ApiError(404, "There is no such job.", code="job_not_found")
        return name, self._jobs[name]

    def _about(self, name: str, job: Job) -> dict[str, Any]:
        return {
            "id": name,
            "object": "aigc.job",
            "created": job.created,
            "status": job.status,
            **job.asked.about,
            "result": job.result,
            "error": None if job.error is None else job.error.body["error"],
        }

    async def _run(self, service: Service, job: Job) -> None:
        try:
            job.result = await _result(service, job.asked)
            job.size = sum(
                len(item) for output in job.result["outputs"].values() for item in output["items"]
            )
            job.status = "done"
        except Exception as error:
            job.error, job.status = api_error(error), "failed"
        self._forget_old()

    def _forget_old(self) -> None:
        def is_full() -> bool:
            size = sum(job.size for job in self._jobs.values())
            return len(self._jobs) > KEPT_JOBS or size > KEPT_BYTES

        for name, job in list(self._jobs.items()):
            if is_full() and job.status != "running":
                del self._jobs[name]

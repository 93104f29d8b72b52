"""What every endpoint needs: the models, their answers piece by piece, and requests' bodies."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from aigc_core.complaints import first_complaint
from aigc_core.errors import did_you_mean
from aigc_core.interfaces import ConfigModel
from aigc_core.serving import ModelPool, ServedModel
from aigc_core.serving.worker import Work
from aigc_serve.errors import ApiError, api_error
from aigc_serve.metrics import Metrics

Body = TypeVar("Body", bound=ConfigModel)
Handler = Callable[["Service", Request], Awaitable[Response]]
_MAX_DEPTH = 64


class Answer:
    """The pieces of a model's work, as they come; leaving ``with`` stops the work."""

    def __init__(self, pool: ModelPool, model: ServedModel, work: Work) -> None:
        loop = asyncio.get_running_loop()
        self._found: asyncio.Queue[tuple[Any, bool]] = asyncio.Queue()

        def give(item: Any, ended: bool) -> None:
            loop.call_soon_threadsafe(self._found.put_nowait, (item, ended))

        self._task = pool.submit(
            model, work, lambda piece: give(piece, False), lambda error: give(error, True)
        )

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *error: object) -> None:
        self._task.cancel()

    @property
    def has_begun(self) -> bool:
        """Whether it is worked on, and does not wait any more."""
        return self._task.started_s is not None

    async def pieces(self, pause_s: float | None = None) -> AsyncIterator[Any]:
        """Yield each piece, and None after every ``pause_s`` seconds without any.

        Raises:
            AigcError: as ``on_end`` of ``Worker.submit`` gets; or what a step raised.
        """
        while True:
            try:
                async with asyncio.timeout(pause_s):  # wait_for of 3.11 may lose a cancellation
                    item, ended = await self._found.get()
            except TimeoutError:
                yield None
                continue
            if ended and item is None:
                return
            if ended:
                raise item
            yield item


@dataclass
class Service:
    """The models, and what happens to requests for them."""

    pool: ModelPool
    max_body_bytes: int = 32 * 2**20
    body_timeout_s: float = 30.0
    """How long a client may take to send a request's body."""
    heartbeat_s: float = 15.0
    """After how long without news a stream says that it is alive."""
    started: int = field(default_factory=lambda: int(time.time()))
    reading: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    """Requests are checked, and clients' files decoded, in other threads, this many at a time."""
    metrics: Metrics = field(init=False)

    def __post_init__(self) -> None:
        """Count what happens."""
        self.metrics = Metrics(self.pool)

    def model(self, name: str | None) -> ServedModel:
        """Return a model by name, or the only one.

        Raises:
            ApiError: there is none of that name.
        """
        models = self.pool.models
        if name is None and len(models) == 1:
            return next(iter(models.values()))
        if name is None:
            raise ApiError(400, f"Say which model: {', '.join(models)}.", param="model")
        if name not in models:
            hint = did_you_mean(name[:200], models)
            raise ApiError(
                404,
                f"There is no model of that name.{hint}",
                param="model",
                code="model_not_found",
            )
        return models[name]

    def ask(self, model: ServedModel, work: Work) -> Answer:
        """Have a model's work done, within ``with``.

        Raises:
            QueueFullError: too many wait.
            ClosedError: the server ends.
        """
        return Answer(self.pool, model, work)

    async def body(self, request: Request, kind: type[Body]) -> Body:
        """Read a request's body as JSON.

        Raises:
            ApiError: it is too long, too slow, no JSON, or not as ``kind`` has it.
        """
        if media_type_of(request) != "application/json":
            raise ApiError(415, "Send JSON, with: Content-Type: application/json")
        return as_kind(parsed(await self.raw_body(request)), kind)

    async def raw_body(self, request: Request) -> bytes:
        """Read a request's body.

        Raises:
            ApiError: it is too long or too slow.
        """
        parts: list[bytes] = []
        length = 0
        try:
            async with asyncio.timeout(self.body_timeout_s):
                async for part in request.stream():
                    length += len(part)
                    if length > self.max_body_bytes:
                        raise too_large(self.max_body_bytes)
                    parts.append(part)
        except TimeoutError:
            raise ApiError(
                408, "The request's body took too long.", headers={"connection": "close"}
            ) from None
        return b"".join(parts)


def too_large(most: int) -> ApiError:
    """Return the error for a body of more bytes."""
    return ApiError(413, f"A request may have {most:,} bytes.", headers={"connection": "close"})


def media_type_of(request: Request) -> str:
    """Return the media type of a request's body, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def parsed(raw: bytes | str) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        ApiError: it is none, is nested too deeply, or holds numbers that are none.
    """
    try:
        data = json.loads(raw, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        where = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise ApiError(400, f"The body is no JSON that can be read{where}.") from None
    if not isinstance(data, dict):
        raise ApiError(400, "The body must be a JSON object.")
    if _is_deeper(data, _MAX_DEPTH):
        raise ApiError(400, f"The body is nested more than {_MAX_DEPTH} levels deep.")
    return data


def as_kind(data: dict[str, Any], kind: type[Body]) -> Body:
    """Return a body's fields, checked.

    Raises:
        ApiError: a field is unknown, missing or not valid; ``param`` names it.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        complaint = first_complaint(error, data)
        name = ".".join(map(str, complaint.path[:3])) if complaint.path else None
        if complaint.kind == "extra_forbidden":
            hint = did_you_mean(str(complaint.path[-1])[:100], kind.model_fields)
            message = f"There is no such field here.{hint}"
        elif complaint.kind == "missing":
            message = f"'{name}' is missing."
        else:
            message = f"'{name}' is not valid: {complaint.problem}."
        raise ApiError(400, message, param=None if name is None else name[:200]) from None


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number of JSON")


def _is_deeper(data: Any, levels: int) -> bool:
    inner = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return levels == 0 or any(_is_deeper(value, levels - 1) for value in inner)


class Endpoint:
    """Answers one path, listening all the while for the client's leaving, which ends the work."""

    def __init__(self, service: Service, handler: Handler) -> None:
        self._service, self._handler = service, handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        service, started_s = self._service, time.monotonic()
        metrics, route = service.metrics, scope["route"].path
        status = 499  # of a client that left; never sent

        async def noting(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        async def answer() -> None:
            request = Request(scope, body_receive)
            try:
                response = await self._handler(service, request)
            except ClientDisconnect:
                return
            except Exception as error:
                response = api_error(error).response()
            body_read.set()
            await response(scope, receive, noting)

        body_read = asyncio.Event()

        async def body_receive() -> Any:
            message = await receive()
            if message["type"] != "http.request" or not message.get("more_body", False):
                body_read.set()
            return message

        answering = asyncio.ensure_future(answer())
        leaving = asyncio.ensure_future(_left(receive, body_read))
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                answering.result()
        finally:
            for task in (answering, leaving):
                task.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)
            metrics.answered(route, scope["method"], status, time.monotonic() - started_s)


async def _left(receive: Receive, body_read: asyncio.Event) -> None:
    """Return once the client is gone; the body must have been read before."""
    await body_read.wait()
    while (await receive())["type"] != "http.disconnect":
        pass


class EventStream(Response):
    """Server-sent events, with comments while there is no news."""

    def __init__(self, answer: Answer, events: AsyncIterator[Any]) -> None:
        """Take an answer and the JSON data made of it, in order; None is sent as a comment."""
        super().__init__(media_type="text/event-stream")
        del self.headers["content-length"]
        self.headers["x-accel-buffering"] = "no"
        self._answer, self._events = answer, events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def write(text: str, more: bool = True) -> None:
            body = text.encode()
            await send({"type": "http.response.body", "body": body, "more_body": more})

        with self._answer:
            start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
            await send(start)
            try:
                async for event in self._events:
                    line = ": working" if event is None else f"data: {json.dumps(event)}"
                    await write(f"{line}\n\n")
            except Exception as error:
                await write(f"data: {json.dumps(api_error(error).body)}\n\n", more=False)
            else:
                await write("data: [DONE]\n\n", more=False)

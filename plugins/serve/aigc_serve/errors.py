"""Errors as the clients of this interface expect them."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from aigc_core.errors import UserError
from aigc_core.serving import ClosedError, QueueFullError, TimeLimitError

logger = logging.getLogger("aigc")
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


class ApiError(Exception):
    """An error as its client gets it: a message, and the status of the reply."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.headers = {**(headers or {})}
        if status not in (429, 503):  # a client that tries again would get the same
            self.headers["x-should-retry"] = "false"

    @property
    def body(self) -> dict[str, Any]:
        """The reply, as JSON data."""
        default = "server_error" if self.status >= 500 else "invalid_request_error"
        return {
            "error": {
                "message": self.message,
                "type": _TYPES.get(self.status, default),
                "param": self.param,
                "code": self.code,
            }
        }

    def response(self) -> Response:
        """Return the reply."""
        return json_response(self.body, self.status, self.headers)


def json_response(
    data: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return JSON in ASCII: a lone surrogate that a client sent stays what it was."""
    return Response(json.dumps(data), status, dict(headers or {}), "application/json")


def api_error(error: BaseException) -> ApiError:
    """Return the reply to an error: with no path, and nothing of the code."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, QueueFullError):
        headers = {"retry-after": str(error.retry_after_s)}
        return ApiError(429, str(error), code="queue_full", headers=headers)
    if isinstance(error, ClosedError):
        return ApiError(503, str(error), code="shutting_down", headers={"retry-after": "5"})
    if isinstance(error, TimeLimitError):
        return ApiError(504, str(error), code="time_limit")
    if isinstance(error, UserError):
        return ApiError(400, str(error))
    logger.error("A request failed.", exc_info=error)
    return ApiError(500, "The model failed. The server's log says why.", code="model_failed")


async def on_api_error(request: Request, error: Exception) -> Response:
    """Answer an error that was raised on purpose."""
    return api_error(error).response()


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer what Starlette itself refuses: an unknown path, a method that a path has not."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    messages = {404: "There is nothing at this path.", 405: "This path has no such method."}
    headers = error.headers if isinstance(error, HTTPException) else None
    message = messages.get(status, "The request cannot be answered.")
    return ApiError(status, message, headers=headers).response()


async def on_failure(request: Request, error: Exception) -> Response:
    """Answer a fault of this program's; its traceback is in the server's log."""
    return ApiError(500, "The server failed. Its log says why.", code="internal").response()

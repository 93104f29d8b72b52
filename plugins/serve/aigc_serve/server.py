"""Runs the application with uvicorn, and ends in time."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from aigc_core.serving import ModelPool

HEADERS_TIMEOUT_S = 10.0
"""How long a client may take to send a request's head."""
MAX_CONNECTIONS = 512
MAX_HEAD_BYTES = 32 * 2**10
GRACE_S = 1.5
"""How long open requests get to end once the server is asked to."""
LAST_S = 2.7
"""When the process ends whatever it still does."""
_TOO_MANY = (
    b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\nconnection: close\r\n"
    b"content-type: application/json\r\ncontent-length: 113\r\n\r\n"
    b'{"error": {"message": "Too many connections.", "type": "rate_limit_error", '
    b'"param": null, "code": "connections"}}'
)


class Protocol(H11Protocol):
    """HTTP/1.1 with a bound on connections, and on how slowly a request's head may come."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, if there is room."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.write(_TOO_MANY)
            transport.close()
            return
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes of a client's."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_timer()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self._stop_timer()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._stop_timer()
        self._head_timer = self.loop.call_later(HEADERS_TIMEOUT_S, self.transport.close)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class Server(uvicorn.Server):
    """Ends all work when it is asked to end, so that open streams do not hold it up."""

    signal_number: int | None = None
    """The signal that asked the server to end."""

    def __init__(self, app: ASGIApp, pool: ModelPool) -> None:
        self._pool = pool
        super().__init__(
            uvicorn.Config(
                app,
                http=Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=GRACE_S,  # type: ignore[arg-type]
                h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            )
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End soon, and at last in any case."""
        self.signal_number = sig
        last = threading.Timer(LAST_S, end_now, [128 + sig])
        last.daemon = True
        last.start()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the models' work first: their clients get a message, and leave."""
        self._pool.close(0)
        await super().shutdown(sockets)


def end_now(code: int) -> None:
    """End the process at once, whatever other threads do."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        OSError: the port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found: Any = socket.socket(family)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(1024)
        found.setblocking(False)
    except OSError:
        found.close()
        raise
    return found  # type: ignore[no-any-return]

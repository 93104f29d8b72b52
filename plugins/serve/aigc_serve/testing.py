"""A server in a thread of its own, for tests of clients and of this package."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from aigc_core.serving import ModelPool
from aigc_serve.app import make_app
from aigc_serve.server import Server, listen
from aigc_serve.service import Service

PATIENCE_S = 120
"""After which a test that hangs fails; nothing here depends on how fast anything is."""


@dataclass
class Running:
    """A server in a thread of its own."""

    host: str
    port: int
    pool: ModelPool
    service: Service
    server: Server
    thread: threading.Thread

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{self.host}:{self.port}"

    def request(
        self, method: str, path: str, data: Any = None, headers: dict[str, str] | None = None
    ) -> Reply:
        """Send a request as curl would, and return the reply."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE_S)
        sent = {} if data is None else {"content-type": "application/json"}
        body = data if data is None or isinstance(data, bytes) else json.dumps(data)
        with contextlib.closing(connection):
            connection.request(method, path, body, {**sent, **(headers or {})})
            reply = connection.getresponse()
            return Reply(reply.status, dict(reply.headers), reply.read())

    def post(self, path: str, data: Any, **headers: str) -> Reply:
        """Send JSON."""
        return self.request("POST", path, data, headers)

    def get(self, path: str, **headers: str) -> Reply:
        """Read."""
        return self.request("GET", path, headers=headers)

    def raw(self, sent: bytes) -> bytes:
        """Send bytes, and return all that comes until the server closes the connection."""
        with socket.create_connection((self.host, self.port), timeout=PATIENCE_S) as connection:
            connection.sendall(sent)
            parts = []
            while part := connection.recv(65536):
                parts.append(part)
            return b"".join(parts)

    def is_idle(self) -> bool:
        """Whether no request waits or is worked on."""
        return self.pool.waiting == self.pool.active == 0

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that must come; a test that waits in vain fails by its timeout."""
        for _ in range(PATIENCE_S * 100):
            if holds():
                return
            threading.Event().wait(0.01)
        raise AssertionError("it never came")


@dataclass
class Reply:
    """What a server answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, which is JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """What is wrong, in the form that clients know."""
        error: dict[str, Any] = self.json["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return error


@contextlib.contextmanager
def running(pool: ModelPool, *, key: str | None = None, **options: Any) -> Iterator[Running]:
    """Serve a pool on a free port until the context ends."""
    service = Service(pool, **options)
    bound = listen("127.0.0.1", 0)
    server = Server(make_app(service, key=key), pool)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    host, port = bound.getsockname()
    thread.start()
    found = Running(host, port, pool, service, server, thread)
    try:
        found.wait_until(lambda: server.started)
        yield found
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
        pool.close(PATIENCE_S)
        assert not thread.is_alive()

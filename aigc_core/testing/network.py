"""A machine without a network, for as long as it is needed."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from typing import Any
from unittest import mock

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_NOWHERE = "http://127.0.0.1:9"  # for programs that are started: the port that discards


@contextlib.contextmanager
def no_network() -> Iterator[None]:
    """Let every connection and look-up of this process fail at once, as on a machine without one.

    Connections on the machine itself through a file (Unix sockets) work.
    """
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def refuse(self: socket.socket, address: Any) -> None:
        if self.family == getattr(socket, "AF_UNIX", None):
            return connect(self, address)
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    def refuse_code(self: socket.socket, address: Any) -> int:
        if self.family == getattr(socket, "AF_UNIX", None):
            return connect_ex(self, address)
        return errno.ENETUNREACH

    def unknown(*arguments: Any, **more: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        enter(mock.patch.object(socket.socket, "connect", refuse))
        enter(mock.patch.object(socket.socket, "connect_ex", refuse_code))
        for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
            enter(mock.patch.object(socket, name, unknown))
        enter(mock.patch.dict(os.environ, dict.fromkeys(_PROXIES, _NOWHERE)))
        yield

"""Who may ask: host, origin, key and size of every request, before anything reads it."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aigc_serve.errors import ApiError

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
OPEN = frozenset({"/healthz", "/readyz"})
"""Paths that need no key."""
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
}


class Guard:
    """Refuses requests that come from where they should not.

    - By ``Host``: a page whose name was pointed at this machine (DNS rebinding) names its own.
    - By ``Origin`` and ``Sec-Fetch-Site``: a browser that another site has send something.
    - By the key, if there is one, compared in constant time.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: Collection[str], any_address: bool, key: str | None
    ) -> None:
        """Take what to protect.

        Args:
            app: what answers.
            hosts: names of this server, without ports.
            any_address: whether any IP address is one, too; a rebound name is none.
            key: that every request has to carry, except for its health; None for no key.
        """
        self._app, self._hosts = app, {host.lower() for host in hosts}
        self._any_address = any_address
        self._key = None if key is None else key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            self._check(scope)
        except ApiError as error:
            await error.response()(scope, receive, with_headers)
            return
        await self._app(scope, receive, with_headers)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        given = headers.getlist("host")
        if len(given) != 1 or not self._is_own(host_of(given[0])):
            raise ApiError(
                403,
                "This server does not go by that name. Start it with --allow-host for each "
                "further name it has.",
                code="wrong_host",
            )
        site = headers.get("sec-fetch-site", "none")
        origin = headers.get("origin")
        if site not in ("none", "same-origin") or (
            origin is not None and not _same_origin(origin, given[0])
        ):
            raise ApiError(403, "Requests of other sites' pages are refused.", code="cross_site")
        if self._key is not None and scope["path"] not in OPEN:
            scheme, _, key = headers.get("authorization", "").partition(" ")
            right = hmac.compare_digest(key.strip().encode("latin-1"), self._key)
            if scheme.lower() != "bearer" or not right:
                raise ApiError(
                    401,
                    "This server needs its key, as: Authorization: Bearer KEY",
                    code="invalid_api_key",
                    headers={"www-authenticate": "Bearer"},
                )

    def _is_own(self, host: str | None) -> bool:
        return host is not None and (
            host in self._hosts or (self._any_address and _is_address(host))
        )


def host_of(header: str) -> str | None:
    """Return the name in a ``Host`` header, in lower case; None if there is none."""
    try:
        parts = urlsplit(f"//{header}")
        _ = parts.port  # raises if it is none
        plain = parts.netloc == header and "@" not in header
        return parts.hostname if plain else None
    except ValueError:
        return None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _same_origin(origin: str, host: str) -> bool:
    """Whether an origin, which is ``null`` for some pages, is this server's."""
    scheme, separator, name = origin.partition("://")
    return separator != "" and scheme in ("http", "https") and name.lower() == host.lower()

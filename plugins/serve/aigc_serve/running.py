"""What ``aigc serve`` does once its models are loaded."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Sequence

from aigc_core.errors import UserError, reason
from aigc_core.serving import ModelPool
from aigc_serve.app import make_app
from aigc_serve.guard import LOOPBACK
from aigc_serve.server import Server, end_now, listen
from aigc_serve.service import Service

logger = logging.getLogger("aigc")
_LEAST_KEY = 16


def check_bind(host: str, key: str | None) -> bool:
    """Return whether an address can be reached from this machine only.

    Raises:
        UserError: it can be reached from others and there is no key, or a short one.
    """
    is_local = host == "localhost" or _is_loopback(host)
    if key is not None and (len(key) < _LEAST_KEY or not key.isascii() or not key.isprintable()):
        raise UserError(
            f"The key must have at least {_LEAST_KEY} printable ASCII characters. Make one with: "
            "python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    if not is_local and key is None:
        raise UserError(
            f"Whoever reaches this machine could use the models at {host}. Set a key in "
            "AIGC_SERVE_KEY, or leave --host out to serve this machine only."
        )
    return is_local


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def run_server(
    pool: ModelPool,
    *,
    host: str,
    port: int,
    key: str | None,
    names: Sequence[str],
    is_local: bool,
    max_body_bytes: int,
) -> None:
    """Serve until a signal ends it.

    Raises:
        UserError: the address cannot be listened at.
    """
    address = "127.0.0.1" if host == "localhost" else host
    try:
        socket = listen(address, port)
    except (OSError, OverflowError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise UserError(f"Cannot listen at {host}:{port}: {why}. Choose another --port.") from None
    service = Service(pool, max_body_bytes=max_body_bytes)
    app = make_app(service, hosts=LOOPBACK | {host, *names}, any_address=not is_local, key=key)
    shown = f"[{address}]" if ":" in address else address
    url = f"http://{shown}:{socket.getsockname()[1]}"
    logger.info("Serving %s at %s/v1 (stop with Ctrl-C)", ", ".join(pool.models), url)
    server = Server(app, pool)
    try:
        server.run(sockets=[socket])
    finally:
        pool.close(0.5)
        if server.signal_number is not None:
            logger.info("Stopped.")
            end_now(128 + server.signal_number)  # libraries may take seconds to be torn down

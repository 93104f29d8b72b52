"""The application: paths and who may use them."""

from __future__ import annotations

from collections.abc import Collection

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route

from aigc_serve import about, native
from aigc_serve.errors import ApiError, on_api_error, on_failure, on_http_error
from aigc_serve.guard import LOOPBACK, Guard
from aigc_serve.images import images
from aigc_serve.service import Endpoint, Handler, Service
from aigc_serve.speech import speech
from aigc_serve.texts import chat, completions


def make_app(
    service: Service,
    *,
    hosts: Collection[str] = LOOPBACK,
    any_address: bool = False,
    key: str | None = None,
) -> Starlette:
    """Return the application that serves a service's models.

    Args:
        service: the models.
        hosts: names that the server goes by.
        any_address: whether any IP address is one of them.
        key: that requests have to carry; None for no key.
    """
    jobs = native.Jobs()
    handlers: list[tuple[str, str, Handler]] = [
        ("GET", "/v1/models", about.models),
        ("GET", "/v1/models/{model}", about.model),
        ("POST", "/v1/images/generations", images),
        ("POST", "/v1/audio/speech", speech),
        ("POST", "/v1/completions", completions),
        ("POST", "/v1/chat/completions", chat),
        ("POST", "/aigc/v1/generate", native.generate),
        ("POST", "/aigc/v1/jobs", jobs.create),
        ("GET", "/aigc/v1/jobs/{job}", jobs.read),
        ("DELETE", "/aigc/v1/jobs/{job}", jobs.delete),
        ("GET", "/healthz", about.alive),
        ("GET", "/readyz", about.ready),
        ("GET", "/metrics", about.metrics),
        ("GET", "/openapi.json", about.openapi),
    ]
    app = Starlette(
        routes=[
            Route(path, Endpoint(service, handler), methods=[method])
            for method, path, handler in handlers
        ],
        middleware=[Middleware(Guard, hosts=hosts, any_address=any_address, key=key)],
        exception_handlers={
            ApiError: on_api_error,
            HTTPException: on_http_error,
            Exception: on_failure,
        },
    )
    app.router.redirect_slashes = False  # a redirect would repeat the client's Host
    return app

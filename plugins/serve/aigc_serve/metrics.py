"""Counts for Prometheus; labels are names of this server's own, never a client's text."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from aigc_core.serving import ModelPool

_METHODS = frozenset({"GET", "POST", "DELETE"})


class Metrics:
    """What happens, counted."""

    def __init__(self, pool: ModelPool) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "aigc_requests", "Requests that were answered", ["route", "method", "status"],
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "aigc_request_seconds",
            "From a request's head to the end of its answer",
            ["route"],
            buckets=(0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300),
            registry=registry,
        )
        self._samples = Counter(
            "aigc_samples", "Samples that were drawn", ["model"], registry=registry
        )
        self._tokens = Counter(
            "aigc_tokens", "Tokens of texts that were drawn", ["model"], registry=registry
        )
        waiting = Gauge("aigc_waiting", "Requests that wait for a model", registry=registry)
        waiting.set_function(lambda: pool.waiting)
        active = Gauge("aigc_active", "Requests that models work on", registry=registry)
        active.set_function(lambda: pool.active)

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request; status 499 is for clients that left."""
        method = method if method in _METHODS else "other"
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def drew(self, model: str, samples: int, tokens: int = 0) -> None:
        """Count what a model drew."""
        self._samples.labels(model).inc(samples)
        if tokens:
            self._tokens.labels(model).inc(tokens)

    def text(self) -> bytes:
        """Return all counts in Prometheus' text format."""
        return generate_latest(self._registry)

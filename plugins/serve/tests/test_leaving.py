"""Whoever leaves, waits for nothing any more: their work stops, and others' goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aigc_core.serving import Limits, ModelPool
from aigc_serve.testing import PATIENCE_S, Running, running

LONG = {"model": "gpt", "prompt": "a", "max_tokens": 200_000}


def head(path: str, data: dict, host: str = "localhost") -> bytes:
    body = json.dumps(data).encode()
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def asking(server: Running, path: str, data: dict) -> socket.socket:
    connection = socket.create_connection((server.host, server.port), timeout=PATIENCE_S)
    connection.sendall(head(path, data))
    return connection


def read_until(connection: socket.socket, wanted: bytes, times: int = 1) -> bytes:
    found = b""
    while found.count(wanted) < times:
        part = connection.recv(4096)
        assert part, f"the connection ended after {found!r}"
        found += part
    return found


@pytest.mark.parametrize("stream", [True, False])
def test_work_stops_when_its_client_leaves(quiet: Running, stream: bool) -> None:
    """Nobody would ever see the end of so many tokens: only leaving can end this."""
    connection = asking(quiet, "/v1/completions", LONG | {"stream": stream})
    if stream:
        read_until(connection, b"data: ", times=3)
    quiet.wait_until(lambda: quiet.pool.active == 1)
    connection.close()
    quiet.wait_until(quiet.is_idle)


def test_so_does_what_takes_many_steps_within_one_chunk(quiet: Running) -> None:
    """A flow of a million steps: it ends between two evaluations of its network."""
    controls = {"controls": {"steps": 1000, "solver": "heun"}}
    connection = asking(quiet, "/aigc/v1/generate", {"model": "digits", "count": 1, **controls})
    quiet.wait_until(lambda: quiet.pool.active == 1)
    connection.close()
    quiet.wait_until(quiet.is_idle)
    assert quiet.post("/aigc/v1/generate", {"model": "gan"}).status == 200


def test_many_who_leave_leave_no_job(quiet: Running) -> None:
    """Some wait, some are worked on, some have just asked."""

    def come_and_go(number: int) -> None:
        connection = asking(quiet, "/v1/completions", LONG | {"stream": number % 2 == 0})
        if number % 3 == 0:
            quiet.wait_until(lambda: quiet.pool.active > 0)
        connection.close()

    with ThreadPoolExecutor(16) as clients:
        list(clients.map(come_and_go, range(200)))
    quiet.wait_until(quiet.is_idle)
    quiet.wait_until(lambda: not quiet.server.server_state.connections)
    assert quiet.post("/v1/completions", LONG | {"max_tokens": 3}).status == 200


def test_a_job_goes_on_without_anybody_until_it_is_deleted(quiet: Running) -> None:
    made = quiet.post("/aigc/v1/jobs", {"model": "gan", "count": 2, "seed": 8})
    assert made.status == 202
    path = f"/aigc/v1/jobs/{made.json['id']}"
    assert made.headers["location"] == path
    quiet.wait_until(lambda: quiet.get(path).json["status"] == "done")
    result = quiet.get(path).json["result"]
    again = quiet.post("/aigc/v1/generate", {"model": "gan", "count": 2, "seed": 8}).json
    assert result["outputs"] == again["outputs"]
    long = quiet.post("/aigc/v1/jobs", {"model": "gpt", "controls": {"tokens": 200_000}}).json
    quiet.wait_until(lambda: quiet.pool.active == 1)
    assert quiet.request("DELETE", f"/aigc/v1/jobs/{long['id']}").json["deleted"]
    quiet.wait_until(quiet.is_idle)
    assert quiet.request("DELETE", path).status == 200
    assert quiet.get(path).error["code"] == "job_not_found"


@pytest.fixture
def narrow(runs: dict[str, Path]) -> Iterator[Running]:
    """A server where one is worked on and one may wait; streams say at once that they live."""
    pool = ModelPool(Limits(max_active=1, max_queue=1, max_tokens=200_000))
    pool.add("gpt", runs["gpt"], device="cpu")
    with running(pool, heartbeat_s=0.01) as server:
        yield server


def test_a_full_queue_says_when_to_come_back(narrow: Running) -> None:
    first = asking(narrow, "/v1/completions", LONG)
    narrow.wait_until(lambda: narrow.pool.active == 1)
    second = asking(narrow, "/v1/completions", LONG)
    narrow.wait_until(lambda: narrow.pool.waiting == 1)
    refused = narrow.post("/v1/completions", LONG)
    assert refused.status == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert "x-should-retry" not in refused.headers
    assert refused.error["type"] == "rate_limit_error"
    second.close()
    narrow.wait_until(lambda: narrow.pool.waiting == 0)
    first.close()
    narrow.wait_until(narrow.is_idle)
    assert narrow.post("/v1/completions", LONG | {"max_tokens": 2}).status == 200


def test_a_stream_that_waits_sends_comments(narrow: Running) -> None:
    first = asking(narrow, "/v1/completions", LONG)
    narrow.wait_until(lambda: narrow.pool.active == 1)
    waiting = asking(narrow, "/v1/completions", LONG | {"stream": True, "max_tokens": 2})
    assert read_until(waiting, b": working\n\n", times=2)
    first.close()
    rest = read_until(waiting, b"data: [DONE]")
    assert rest.count(b"[DONE]") == 1
    waiting.close()


def test_a_model_that_fails_ends_its_own_request_alone(narrow: Running) -> None:
    generator = narrow.pool.models["gpt"].sampler.generator
    real = generator.next_logits

    def fails(tokens, cache):
        raise RuntimeError(f"a secret of {__file__}")

    generator.next_logits = fails
    try:
        failed = narrow.post("/v1/completions", LONG | {"max_tokens": 2})
        streamed = narrow.post("/v1/completions", LONG | {"max_tokens": 2, "stream": True})
    finally:
        del generator.next_logits
    assert generator.next_logits == real
    assert (failed.status, failed.error["code"]) == (500, "model_failed")
    assert failed.headers["x-should-retry"] == "false"
    assert b"model_failed" in streamed.body
    assert b"[DONE]" not in streamed.body
    assert b"secret" not in failed.body + streamed.body
    assert narrow.post("/v1/completions", LONG | {"max_tokens": 2}).status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_with_streams_open(runs: dict[str, Path], number: int) -> None:
    command = [sys.executable, "-m", "aigc_core", "serve", f"gpt={runs['gpt']}", "--port", "0"]
    command += ["--device", "cpu", "--max-tokens", "200000"]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        env={**os.environ, "AIGC_SERVE_KEY": "0123456789abcdef"},
    )
    try:
        assert process.stderr is not None
        said = ""
        while not (found := re.search(r"http://127\.0\.0\.1:(\d+)/v1", said)):
            line = process.stderr.readline()
            assert line, said
            said += line
        with socket.create_connection(("127.0.0.1", int(found[1])), timeout=PATIENCE_S) as client:
            sent = head("/v1/completions", LONG | {"stream": True})
            key = b"Authorization: Bearer 0123456789abcdef\r\nContent-Type"
            client.sendall(sent.replace(b"Content-Type", key, 1))
            read_until(client, b"data: ", times=3)
            idle = socket.create_connection(("127.0.0.1", int(found[1])), timeout=PATIENCE_S)
            process.send_signal(number)
            rest = b""
            while part := client.recv(65536):
                rest += part
            idle.close()
        assert b"shutting_down" in rest  # the client was told
        assert process.wait(PATIENCE_S) == (143 if number == signal.SIGTERM else 130)
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_a_step_that_does_not_end_does_not_hold_up_the_end(runs: dict[str, Path]) -> None:
    """The computing thread may be in the middle of something long."""
    pool = ModelPool(Limits())
    model = pool.add("gpt", runs["gpt"], device="cpu")
    reached, opened = threading.Event(), threading.Event()

    def stuck():
        reached.set()
        assert opened.wait(PATIENCE_S)
        yield None

    ended: list[object] = []
    pool.submit(model, stuck(), lambda piece: None, ended.append)
    assert reached.wait(PATIENCE_S)
    pool.close(0)
    assert not pool.is_open
    opened.set()
    pool.close(PATIENCE_S)
    assert len(ended) == 1

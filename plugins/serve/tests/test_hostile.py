"""Requests that nobody means well with: a plain refusal, and nothing is given away."""

from __future__ import annotations

import base64
import json
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from aigc_core.serving import Limits, ModelPool
from aigc_serve import server as server_module
from aigc_serve.guard import host_of
from aigc_serve.testing import PATIENCE_S, Running, running

KEY = "a-key-of-this-test-0123"


@pytest.fixture(scope="module")
def locked(runs: dict[str, Path]) -> Iterator[Running]:
    """A server with a key, which takes short bodies only."""
    pool = ModelPool(Limits())
    pool.add("gan", runs["gan"], device="cpu")
    with running(pool, key=KEY, max_body_bytes=20_000) as server:
        yield server


def gives_nothing_away(body: bytes) -> None:
    for secret in (b"Traceback", b".py", b"/tmp", b"/home", b"site-packages", b"Error("):
        assert secret not in body, body
    assert str(Path.home()).encode() not in body
    assert tempfile.gettempdir().encode() not in body


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "", "localhost:x", "[::"],
)
def test_another_name_than_its_own(quiet: Running, host: str) -> None:
    reply = quiet.get("/v1/models", host=host)
    assert (reply.status, reply.error["code"]) == (403, "wrong_host")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9", "LOCALHOST:80", "[::1]:1"])
def test_its_own_names(quiet: Running, host: str) -> None:
    assert quiet.get("/healthz", host=host).status == 200


def test_no_host_and_two_hosts(quiet: Running) -> None:
    for lines in (b"", b"Host: localhost\r\nHost: evil.example\r\n"):
        reply = quiet.raw(b"GET /v1/models HTTP/1.1\r\n" + lines + b"Connection: close\r\n\r\n")
        assert reply.split()[1] in (b"400", b"403")


def test_hosts_are_parsed_as_clients_do() -> None:
    assert host_of("[::1]:80") == "::1"
    assert host_of("Localhost") == "localhost"
    assert host_of("a@b") is host_of("a/b") is host_of("a:b:c") is None


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "null"},
        {"origin": "https://evil.example"},
        {"origin": "http://localhost.evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_pages_of_other_sites(quiet: Running, headers: dict[str, str]) -> None:
    for reply in (
        quiet.post("/aigc/v1/generate", {"model": "gan"}, **headers),
        quiet.get("/v1/models", **headers),
    ):
        assert (reply.status, reply.error["code"]) == (403, "cross_site")
        assert not [name for name in reply.headers if name.lower().startswith("access-control")]


def test_a_browsers_fetch_from_its_own_origin(quiet: Running) -> None:
    headers = {"origin": quiet.url, "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}
    assert quiet.post("/aigc/v1/generate", {"model": "gan"}, **headers).status == 200


def test_a_preflight_is_not_answered_as_one(quiet: Running) -> None:
    reply = quiet.request("OPTIONS", "/v1/completions", headers={"origin": quiet.url})
    assert reply.status == 405
    assert "access-control-allow-origin" not in reply.headers


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_only_json_is_taken_for_json(quiet: Running, media_type: str) -> None:
    reply = quiet.post("/v1/completions", b"{}", **{"content-type": media_type})
    assert reply.status == 415
    gives_nothing_away(reply.body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"\xff\xfe{}",
        b'{"n": NaN, "model": "gan"}',
        b'{"n": ' + b"9" * 10_000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"controls": ' + b"[" * 200 + b"]" * 200 + b"}",
        b'{"model": "gan", "seed": 1e400}',
        b'{"model": {"a": 1}}',
        b'{"model": "../../etc/passwd"}',
        b'{"model": "gan", "inputs": {"\\u0000": "x"}}',
        b'{"model": "gpt", "prompt": "\\ud800"}',
        b'{"model": "gan", "count": 1000000000}',
        b'{"model": "gan", "count": true}',
        b'{"model": "gan", "outputs": ["samples", "samples"]}',
        b'{"model": "gan", "format": "../x"}',
        b'{"model": "gan", "label": "../../../x"}',
        b'{"model": "translate"}',
        b'{"model": "translate", "inputs": {"input": "/etc/passwd"}}',
        b'{"model": "translate", "inputs": {"input": 3}}',
        b'{"model": "translate", "inputs": {"input": {"data": "!", "type": "png"}}}',
        b'{"model": "translate", "inputs": {"input": {"data": "AAAA", "type": "../png"}}}',
        b'{"model": "translate", "inputs": {"input": {"data": "AAAA", "type": "png"}}}',
        b'{"model": "translate", "inputs": {"input": {"data": "AAAA", "type": "eps"}}}',
        b'{"model": "digits", "inputs": {"text": 5}}',
        b'{"model": "clips", "label": "eleventy"}',
    ],
)
def test_bodies_that_mean_no_good(quiet: Running, body: bytes) -> None:
    for path in ("/aigc/v1/generate", "/aigc/v1/jobs"):
        reply = quiet.post(path, body)
        assert reply.status in (400, 404), reply.body
        assert reply.error["message"], reply.error
        assert reply.headers["x-should-retry"] == "false"
        gives_nothing_away(reply.body)


def test_a_string_of_a_clients_is_never_a_path(quiet: Running, tmp_path: Path) -> None:
    """Neither that of a file that is there, under any name that could name it."""
    secret = tmp_path / "secret.png"
    modality = quiet.pool.models["translate"].sampler.modality
    secret.write_bytes(modality.encoded(_picture(modality), "png"))
    assert modality.adapt(secret) is not None
    for value in (str(secret), f"file://{secret}", {"data": str(secret), "type": "png"}):
        reply = quiet.post("/aigc/v1/generate", {"model": "translate", "inputs": {"input": value}})
        assert reply.status == 400
        gives_nothing_away(reply.body)


def _picture(modality):
    import torch

    return torch.zeros(modality.spec.shape, dtype=torch.uint8)


def test_uploads_leave_no_file(quiet: Running, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    modality = quiet.pool.models["translate"].sampler.modality
    good = base64.b64encode(modality.encoded(_picture(modality), "png")).decode()
    for data in (good, "AAAA"):
        value = {"data": data, "type": "png"}
        quiet.post("/aigc/v1/generate", {"model": "translate", "inputs": {"input": value}})
    assert list(tmp_path.iterdir()) == []


def form(parts: list[tuple[str, bytes]]) -> tuple[bytes, str]:
    lines = [b"--x\r\nContent-Disposition: form-data; " + h.encode() + b"\r\n\r\n" + body + b"\r\n"
             for h, body in parts]  # fmt: skip
    return b"".join(lines) + b"--x--\r\n", "multipart/form-data; boundary=x"


def test_a_form_with_a_file(quiet: Running) -> None:
    modality = quiet.pool.models["translate"].sampler.modality
    file = modality.encoded(_picture(modality), "png")
    fields = {"model": "translate", "seed": 2}
    body, media_type = form(
        [
            ('name="request"', json.dumps(fields).encode()),
            ('name="input"; filename="../../../up.PNG"', file),
        ]
    )
    reply = quiet.post("/aigc/v1/generate", body, **{"content-type": media_type})
    assert reply.status == 200, reply.body
    value = {"data": base64.b64encode(file).decode(), "type": "png"}
    plain = quiet.post("/aigc/v1/generate", fields | {"inputs": {"input": value}})
    assert plain.json["outputs"] == reply.json["outputs"]


@pytest.mark.parametrize(
    "body",
    [
        form([('name="other"', b"{}")])[0],
        form([('name="request"', b"{")])[0],
        form([('name="input"; filename="x.exe"', b"MZ")])[0],
        form([('name="input"; filename="x.png"', b"a"), ('name="input"; filename="y"', b"a")])[0],
        form([('name="request"', b"{}")] * 3)[0],
        b"--x\r\nnothing",
        b"",
    ],
)
def test_forms_that_mean_no_good(quiet: Running, body: bytes) -> None:
    reply = quiet.post(
        "/aigc/v1/generate", body, **{"content-type": "multipart/form-data; boundary=x"}
    )
    assert reply.status == 400, reply.body
    gives_nothing_away(reply.body)


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/../etc/passwd", "/v1/models/..%2f..%2fetc", "/v1//models", "/%00"]
)
def test_paths_that_are_none(quiet: Running, path: str) -> None:
    reply = quiet.get(path)
    assert reply.status == 404
    assert reply.error["type"] == "not_found_error"
    gives_nothing_away(reply.body)


def test_without_the_key_nothing_but_health_is_answered(locked: Running) -> None:
    for path in ("/v1/models", "/metrics", "/openapi.json", "/aigc/v1/jobs/x", "/nothing"):
        assert locked.get(path).status == 401
        assert locked.get(path, authorization=f"Bearer {KEY[:-1]}").status == 401
        assert locked.get(path, authorization=f"Basic {KEY}").status == 401
    assert locked.get("/healthz").status == locked.get("/readyz").status == 200
    assert locked.get("/v1/models", authorization=f"Bearer {KEY}").status == 200
    wrong = locked.get("/v1/models", authorization="Bearer \xe9")
    assert (wrong.status, wrong.error["code"]) == (401, "invalid_api_key")


def test_a_body_that_is_too_long_is_not_read(locked: Running) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    reply = locked.post("/aigc/v1/generate", {"model": "gan", "prompt": "a" * 30_000}, **headers)
    assert reply.status == 413
    chunked = (
        b"POST /aigc/v1/generate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: application/json\r\nAuthorization: Bearer " + KEY.encode() + b"\r\n\r\n"
    )
    parts = b"".join(b"1000\r\n" + b"a" * 0x1000 + b"\r\n" for _ in range(10))
    assert b" 413 " in locked.raw(chunked + parts).split(b"\r\n")[0]


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    sent = (
        b"POST /aigc/v1/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
        b"Content-Type: application/json\r\n\r\n{"
    )
    with running(ModelPool(Limits()), body_timeout_s=0.05) as server:
        assert b" 408 " in server.raw(sent).split(b"\r\n")[0]


def test_a_head_that_does_not_come_is_not_waited_for(runs, monkeypatch) -> None:
    monkeypatch.setattr(server_module, "HEADERS_TIMEOUT_S", 0.05)
    pool = ModelPool(Limits())
    with running(pool) as server:
        assert server.raw(b"") == b""
        assert server.raw(b"GET / HTT") == b""


def test_a_head_that_is_too_long(quiet: Running) -> None:
    sent = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100_000
    assert b" 400 " in quiet.raw(sent).split(b"\r\n")[0]


def test_more_connections_than_are_taken(monkeypatch) -> None:
    monkeypatch.setattr(server_module, "MAX_CONNECTIONS", 5)
    with running(ModelPool(Limits())) as server:
        address = (server.host, server.port)
        held = [socket.create_connection(address, timeout=PATIENCE_S) for _ in range(5)]
        server.wait_until(lambda: len(server.server.server_state.connections) == 5)
        refused = server.raw(b"")
        assert refused.startswith(b"HTTP/1.1 429 ")
        assert json.loads(refused.partition(b"\r\n\r\n")[2])["error"]["code"] == "connections"
        for connection in held:
            connection.close()
        server.wait_until(lambda: not server.server.server_state.connections)
        assert server.get("/healthz").status == 200


def test_counts_name_nothing_of_a_clients(quiet: Running) -> None:
    quiet.get("/secret-path-of-a-client")
    quiet.post("/aigc/v1/generate", {"model": "secret-model-of-a-client"})
    quiet.post("/aigc/v1/generate", {"model": "gan", "count": 3})
    text = quiet.get("/metrics").body.decode()
    assert "secret" not in text
    assert 'aigc_samples_total{model="gan"}' in text
    assert "aigc_waiting 0.0" in text


def test_every_reply_forbids_guessing_and_keeping(quiet: Running) -> None:
    for reply in (quiet.get("/healthz"), quiet.get("/nothing"), quiet.get("/", host="evil")):
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["cache-control"] == "no-store"
        assert "server" not in reply.headers

"""Downloads are whole, bounded and verified; every message names the address."""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from aigc_core import DataError
from aigc_core.datasets import download

CONTENT = bytes(range(256)) * 20
SHA256 = hashlib.sha256(CONTENT).hexdigest()
Answer = Callable[[BaseHTTPRequestHandler], None]


def send(handler: BaseHTTPRequestHandler, content: bytes = CONTENT, **headers: Any) -> None:
    handler.send_response(200)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()
    handler.wfile.write(content)


class Server:
    """A server on this machine that answers as ``answer`` says."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/a.bin"
        self.answer: Answer = send
        self.stop = threading.Event()


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        made = Server(listening.server_port)
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.stop.set()
        listening.shutdown()
        thread.join()


def fails(server: Server, target: Path, match: str, **options: Any) -> None:
    """The download fails, says why and what else can be done, and leaves the folder as it was."""
    before = {path: path.read_bytes() for path in target.parent.glob("*")}
    options = {"max_bytes": 10**6, "otherwise": "Ask your mother."} | options
    with pytest.raises(DataError, match=match) as failed:
        download(server.url, target, **options)
    assert server.url in str(failed.value)
    assert str(failed.value).endswith(". Ask your mother.")
    assert {path: path.read_bytes() for path in target.parent.glob("*")} == before


@pytest.mark.parametrize("announced", [{}, {"Content_Length": len(CONTENT)}])
@pytest.mark.parametrize("digest", [None, SHA256, SHA256.upper()])
def test_a_file_arrives(server, tmp_path: Path, announced, digest) -> None:
    server.answer = lambda handler: send(handler, **announced)
    target = tmp_path / "deep" / "a.bin"
    download(server.url, target, max_bytes=len(CONTENT), sha256=digest)
    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target]


def test_a_file_that_is_there_is_replaced(server, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    download(server.url, tmp_path / "a", max_bytes=10**6)
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_an_answer_that_ends_early_is_refused(server, tmp_path: Path) -> None:
    server.answer = lambda handler: send(handler, Content_Length=len(CONTENT) + 1)
    (tmp_path / "a").write_bytes(b"old")
    fails(server, tmp_path / "a", r"the answer ended after 5,120 of 5,121 bytes")


def test_chunks_that_end_early_are_refused(server, tmp_path: Path) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.close_connection = True
        send(handler, b"5\r\nhello\r\n5\r\nhe", Transfer_Encoding="chunked")

    server.answer = answer
    fails(server, tmp_path / "a", r"could not be downloaded: IncompleteRead")


def test_a_file_that_announces_too_much_is_refused(server, tmp_path: Path) -> None:
    server.answer = lambda handler: send(handler, b"", Content_Length=len(CONTENT))
    fails(server, tmp_path / "a", r"than the 5,119 bytes", max_bytes=len(CONTENT) - 1)


def test_a_file_that_sends_too_much_is_refused_before_its_end(server, tmp_path: Path) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        send(handler)
        while not server.stop.is_set():  # for ever
            try:
                handler.wfile.write(CONTENT)
            except OSError:
                return

    server.answer = answer
    fails(server, tmp_path / "a", r"longer than the 5,119 bytes", max_bytes=len(CONTENT) - 1)


def test_another_file_is_refused(server, tmp_path: Path) -> None:
    match = rf"is damaged or another file: its SHA-256 is {SHA256}, and should be 0{{64}}\."
    fails(server, tmp_path / "a", match, sha256="0" * 64)


def test_a_missing_file_is_reported(server, tmp_path: Path) -> None:
    server.answer = lambda handler: handler.send_error(404)
    fails(server, tmp_path / "a", r"could not be downloaded: the server answered 404 Not Found")


def test_a_part_of_a_file_is_refused(server, tmp_path: Path) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(206)
        handler.end_headers()
        handler.wfile.write(CONTENT)

    server.answer = answer
    fails(server, tmp_path / "a", r"the server answered 206 Partial Content")


def test_a_silent_server_is_not_waited_for(server, tmp_path: Path) -> None:
    server.answer = lambda handler: (server.stop.wait(20), None)[1]
    fails(server, tmp_path / "a", r"could not be downloaded: timed out", timeout_s=0.1)


def test_nobody_listening_is_reported(server, tmp_path: Path) -> None:
    server.url = "http://127.0.0.1:9/"
    fails(server, tmp_path / "a", r"could not be downloaded: .*Connection refused")


@pytest.mark.parametrize(
    "url", ["file:///etc/hostname", "ftp://a/b", "/etc/hostname", "https:", "data:,a", "http://["]
)
def test_other_addresses_are_refused(server, tmp_path: Path, url: str) -> None:
    server.url = url
    fails(server, tmp_path / "a", r"could not be downloaded: ")


def redirected(to: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.path == "/there":
            return send(handler)
        handler.send_response(302)
        handler.send_header("Location", to)
        handler.end_headers()
        return None

    return answer


def test_a_redirection_is_followed(server, tmp_path: Path) -> None:
    server.answer = redirected("/there")
    download(server.url, tmp_path / "a", max_bytes=10**6)
    assert (tmp_path / "a").read_bytes() == CONTENT


@pytest.mark.parametrize("to", ["file:///etc/hostname", "ftp://127.0.0.1:9/a"])
def test_a_redirection_elsewhere_is_refused(server, tmp_path: Path, to: str) -> None:
    server.answer = redirected(to)
    fails(server, tmp_path / "a", r"could not be downloaded: the server answered")


def test_a_redirection_that_leaves_https_is_refused() -> None:
    from urllib.request import Request

    from aigc_core.datasets.downloads import _Failed, _Redirects

    def follow(old: str, new: str) -> Request | None:
        return _Redirects().redirect_request(Request(old), None, 302, "", {}, new)  # type: ignore

    assert follow("http://a/", "https://a/") is not None
    assert follow("https://a/", "https://b/") is not None
    with pytest.raises(_Failed, match="http://a/, which is not trusted"):
        follow("https://a/", "http://a/")


def test_a_full_disk_is_an_oserror_and_leaves_nothing(server, tmp_path: Path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        download(server.url, tmp_path / "a", max_bytes=10**6)
    assert list(tmp_path.iterdir()) == []

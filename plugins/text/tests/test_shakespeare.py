import hashlib
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from aigc_core import DataError, DataFolders
from aigc_text.datasets import shakespeare
from aigc_text.datasets.pydocs import PyDocs
from aigc_text.datasets.shakespeare import TinyShakespeare
from aigc_text.options import TextOptions
from aigc_text.tokenizers import tokenizer_from_json


def dataset(folders: DataFolders, **options) -> TinyShakespeare:
    return TinyShakespeare(TextOptions(**{"context": 64} | options), folders)


def test_the_real_one_is_split_as_nanogpt_splits_it(real_data, cache) -> None:
    made = dataset(DataFolders(real_data, cache))
    made.prepare()
    train, held_out = made.load("train"), made.load("validation")
    assert train.spec.units == {"vocabulary_size": 65}
    assert len(train) == 1_003_854 - 64
    assert len(held_out) == 111_540 - 64
    tokenizer = tokenizer_from_json(train.spec.assets["tokenizer"])
    first = train.arrays["samples"][0].numpy()
    assert tokenizer.decode(first).startswith("First Citizen:\nBefore we proceed")


CONTENT = b"To be, or not to be.\n" * 20


@pytest.fixture
def served(monkeypatch) -> Iterator[list[str]]:
    """A server of other text, for which the address and the pinned digest are changed."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.setattr(shakespeare, "URL", f"http://127.0.0.1:{server.server_port}/input.txt")
        monkeypatch.setattr(shakespeare, "SHA256", hashlib.sha256(CONTENT).hexdigest())
        yield asked
        server.shutdown()
        thread.join()


def test_it_is_downloaded_once_and_verified(no_root, served) -> None:
    for _ in range(2):
        made = dataset(no_root, context=8)
        made.prepare()
        assert len(made.load("train")) == int(len(CONTENT) * 0.9) - 8
    assert served == ["/input.txt"]
    assert (no_root.cache / "tiny-shakespeare" / "input.txt").read_bytes() == CONTENT


def test_a_download_of_something_else_is_not_kept(no_root, served, monkeypatch) -> None:
    monkeypatch.setattr(shakespeare, "SHA256", "0" * 64)
    with pytest.raises(DataError, match=r"is damaged or another file: its SHA-256 is"):
        dataset(no_root).prepare()
    assert [p.name for p in no_root.cache.rglob("*") if p.is_file()] == [".tiny-shakespeare.lock"]


@pytest.mark.parametrize(
    "error", [urllib.error.URLError("no route"), TimeoutError("timed out"), ConnectionError("x")]
)
def test_no_network_names_both_ways_out(no_root, monkeypatch, error) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", fail)
    with pytest.raises(DataError, match=r"could not be downloaded.*--data-root.*--dataset pydocs"):
        dataset(no_root).prepare()


def test_a_folder_without_it_names_every_place_and_the_ways_out(tmp_path, cache) -> None:
    root = tmp_path / "data"
    root.mkdir()
    with pytest.raises(DataError, match=r"tinyshakespeare/input\.txt or .*--dataset pydocs"):
        dataset(DataFolders(root, cache)).prepare()


@pytest.mark.parametrize("place", ["tinyshakespeare", "tiny-shakespeare", "."])
def test_the_users_file_is_found_and_verified(tmp_path, cache, served, place: str) -> None:
    file = tmp_path / "data" / place / "input.txt"
    file.parent.mkdir(parents=True)
    file.write_bytes(CONTENT + b"!")
    folders = DataFolders(tmp_path / "data", cache)
    with pytest.raises(DataError, match=r"input\.txt is damaged or another file"):
        dataset(folders).prepare()
    file.write_bytes(CONTENT)
    dataset(folders).prepare()
    assert served == []


def test_the_pinned_digest_is_that_of_the_real_file(real_data: Path) -> None:
    content = (real_data / "tinyshakespeare" / "input.txt").read_bytes()
    assert hashlib.sha256(content).hexdigest() == shakespeare.SHA256
    assert len(content) == shakespeare.SIZE


def test_pydocs_need_neither_files_nor_a_network(no_root) -> None:
    made = PyDocs(TextOptions(context=32), no_root)
    made.prepare()
    store = made.load("train")
    assert len(store) > 100_000
    assert len(made.load("validation")) > 10_000
    text = tokenizer_from_json(store.spec.assets["tokenizer"]).decode(
        store.arrays["samples"][0].numpy()
    )
    assert text.isprintable() or "\n" in text


def test_a_python_without_its_help_is_reported(no_root, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pydoc_data.topics", None)
    with pytest.raises(DataError, match="without pydoc_data"):
        PyDocs(TextOptions(), no_root).prepare()

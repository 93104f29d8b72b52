import hashlib
import http.server
import io
import shutil
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from aigc_audio.datasets import fsdd
from aigc_audio.datasets.fsdd import Fsdd, content_sha256, recordings
from aigc_audio.options import FsddOptions
from aigc_core import DataError, DataFolders

FIRST = "0_george_0.wav"
FEW = {"train": range(5, 8), "test": range(5)}
"""Indices of made-up recordings: 480 files instead of 3,000."""


def make(root: Path | None, cache: Path, **options) -> Fsdd:
    return Fsdd(FsddOptions(**options), DataFolders(root=root, cache=cache))


def load(root, cache, split="train", **options):
    dataset = make(root, cache, **options)
    dataset.prepare()
    return dataset.load(split)


@pytest.fixture(scope="module")
def content() -> dict[str, bytes]:
    """Made-up recordings: the first samples tell digit and speaker, level and length the index."""
    made = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fsdd, "_INDICES", FEW)
        names = recordings("train") + recordings("test")
    for name in names:
        digit, speaker, index = name.removesuffix(".wav").split("_")
        wave = np.full(300 + 10 * int(index), 100 * (int(index) + 1), np.int16)
        wave[0], wave[1] = int(digit), fsdd.SPEAKERS.index(speaker)
        file = io.BytesIO()
        soundfile.write(file, wave, 8000, format="WAV", subtype="PCM_16")
        made[name] = file.getvalue()
    return made


@pytest.fixture
def pinned(content, monkeypatch) -> None:
    monkeypatch.setattr(fsdd, "_INDICES", FEW)
    monkeypatch.setattr(fsdd, "CONTENT_SHA256", content_sha256(content))


@pytest.fixture
def folder(content, pinned, tmp_path) -> Path:
    """Its recordings, as a user has them."""
    path = tmp_path / "data" / "fsdd" / "recordings"
    path.mkdir(parents=True)
    for name, data in content.items():
        (path / name).write_bytes(data)
    return path


@pytest.fixture
def root(folder) -> Path:
    return folder.parents[1]


def test_the_test_split_is_the_first_five_of_each_speaker_and_digit():
    train, test = recordings("train"), recordings("test")
    assert (len(train), len(test), len({*train, *test})) == (2700, 300, 3000)
    assert test[:6] == [f"0_george_{i}.wav" for i in range(5)] + ["0_jackson_0.wav"]
    assert train[0] == "0_george_5.wav"
    assert train[-1] == "9_yweweler_49.wav"
    assert {int(name.removesuffix(".wav").rsplit("_")[-1]) for name in test} == set(range(5))


def test_samples_are_in_the_order_of_the_recordings(root, cache):
    for split in ("train", "test"):
        store = load(root, cache, split, normalize="none")
        names = recordings(split)
        samples = store.arrays["samples"]
        assert samples.shape == (len(names), 1, 8192)
        assert samples.dtype == torch.int16
        digits = [int(name[0]) for name in names]
        assert samples[:, 0, 0].tolist() == digits == store.arrays["labels"].tolist()
        speakers = [fsdd.SPEAKERS.index(name.split("_")[1]) for name in names]
        assert samples[:, 0, 1].tolist() == speakers
    assert store.arrays["labels"].dtype == torch.int64
    assert store.label_names == ("zero", *store.label_names[1:9], "nine")
    assert store.spec.units == {"sample_rate_hz": 8000, "duration_s": 1.024}


def test_clips_are_cut_or_end_in_silence(root, cache):
    samples = load(root, cache, "test", samples=320, normalize="none").arrays["samples"]
    indices = [0, 1, 2, 3, 4]
    ends = [(clip[0] != 0).nonzero().max().item() + 1 for clip in samples[:5]]
    assert ends == [min(320, 300 + 10 * index) for index in indices]
    assert samples[:5, 0, 100].tolist() == [100, 200, 300, 400, 500]


def test_normalized_clips_are_equally_loud(root, cache):
    store = load(root, cache)
    assert store.arrays["samples"].amax(dim=(1, 2)).unique().tolist() == [round(0.9 * 32768)]
    assert store.spec.units["peak_level"] == 0.9
    raw = load(root, cache, normalize="none").arrays["samples"]
    assert raw.amax(dim=(1, 2)).unique().numel() == 3


@pytest.mark.parametrize("place", ["fsdd/recordings", "recordings", "."])
def test_the_recordings_are_found_in_three_places(folder, tmp_path, cache, place):
    target = tmp_path / "moved" / place
    shutil.copytree(folder, target)
    assert len(load(tmp_path / "moved", cache, "test")) == 300


def test_the_users_folder_is_only_read_and_nothing_is_cached(root, cache):
    before = {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]}
    load(root, cache)
    assert {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]} == before
    assert not cache.exists()


def test_other_files_beside_them_do_not_matter(folder, root, cache):
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "0_someone-else_0.wav").write_bytes(b"x")
    assert len(load(root, cache, "test")) == 300


def test_a_changed_byte_is_an_error_with_both_checksums(folder, root, cache):
    data = bytearray((folder / FIRST).read_bytes())
    data[-1] ^= 1
    (folder / FIRST).write_bytes(data)
    with pytest.raises(DataError, match=rf"{folder} are damaged.*should be {fsdd.CONTENT_SHA256}"):
        make(root, cache).prepare()


def test_two_files_that_swapped_their_names_are_an_error(folder, root, cache):
    first, other = folder / FIRST, folder / "1_george_0.wav"
    first.rename(folder / "x")
    other.rename(first)
    (folder / "x").rename(other)
    with pytest.raises(DataError, match="damaged or of another version"):
        make(root, cache).prepare()


def test_missing_files_are_counted_and_one_is_named(folder, root, cache):
    for name in recordings("train")[:7]:
        (folder / name).unlink()
    with pytest.raises(DataError, match=r"lacks 7 of the 480 .* such as 0_george_5\.wav"):
        make(root, cache).prepare()


def test_an_unreadable_file_is_named(folder, root, cache):
    (folder / "5_theo_7.wav").unlink()
    (folder / "5_theo_7.wav").mkdir()
    with pytest.raises(DataError, match=r"5_theo_7\.wav cannot be read: Is a directory"):
        make(root, cache).prepare()


def test_a_folder_without_them_names_the_places_and_the_ways_out(tmp_path, cache):
    with pytest.raises(DataError) as caught:
        make(tmp_path, cache).prepare()
    message = str(caught.value)
    assert f"{tmp_path}/fsdd/recordings or {tmp_path}/recordings" in message
    for way_out in ("--data-root", "AIGC_DATA_DIR", "--dataset tones"):
        assert way_out in message
    with pytest.raises(DataError, match="is not in the data folder"):
        make(tmp_path / "no-such-folder", cache).prepare()


def packed(content: dict[str, bytes], top: str = "free-spoken-digit-dataset-1.0.10") -> bytes:
    """An archive as GitHub makes it, with other files."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        others = {"README.md": b"text", "utils/0_george_0.wav": b"not this", "acquire/x.wav": b"x"}
        named = {f"recordings/{name}": data for name, data in content.items()} | others
        for name, data in named.items():
            info = tarfile.TarInfo(f"{top}/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


@pytest.fixture
def served(monkeypatch, content, pinned):
    """A server of the archive; a list that holds what it sends, and how often it was asked."""
    sent = {"archive": packed(content), "asked": 0}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent["asked"] += 1
            self.send_response(200)
            self.send_header("Content-Length", str(len(sent["archive"])))
            self.end_headers()
            self.wfile.write(sent["archive"])

        def log_message(self, *_) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr(fsdd, "URL", f"http://127.0.0.1:{server.server_port}/v1.tar.gz")
    monkeypatch.setenv("no_proxy", "*")
    yield sent
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_is_downloaded_once_and_only_the_recordings_are_kept(served, cache):
    for _ in range(2):
        assert len(load(None, cache)) == 180
    assert served["asked"] == 1
    assert sorted(p.name for p in (cache / "fsdd" / "recordings").iterdir()) == sorted(
        recordings("train") + recordings("test")
    )
    assert {p.name for p in cache.iterdir()} - {".fsdd.lock"} == {"fsdd"}


def test_the_bytes_of_the_archive_do_not_matter_its_content_does(served, cache, content):
    served["archive"] = packed(content, top="another-name")
    assert len(load(None, cache, "test")) == 300
    served["archive"] = packed(content | {FIRST: content["1_george_0.wav"]})
    shutil.rmtree(cache / "fsdd")
    with pytest.raises(DataError, match=r"recordings of http.*damaged or of another version"):
        make(None, cache).prepare()
    assert not (cache / "fsdd").exists()


def test_a_cache_that_was_damaged_is_downloaded_again(served, cache):
    load(None, cache)
    (cache / "fsdd" / "recordings" / FIRST).unlink()
    assert len(load(None, cache)) == 180
    assert served["asked"] == 2


def test_an_archive_of_something_else_leaves_nothing(served, cache):
    served["archive"] = b"<html>not an archive</html>"
    with pytest.raises(DataError, match="damaged"):
        make(None, cache).prepare()
    assert [p.name for p in cache.iterdir()] == [".fsdd.lock"]


def test_no_network_names_both_ways_out(cache, monkeypatch):
    monkeypatch.setattr(fsdd, "URL", "http://127.0.0.1:9/x.tar.gz")  # nobody listens
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(DataError, match=r"127\.0\.0\.1:9.*--data-root DIR.*--dataset tones"):
        make(None, cache).prepare()
    assert [p for p in cache.rglob("*") if p.name != ".fsdd.lock"] == []


def test_two_threads_that_prepare_at_once_download_once(served, cache):
    threads = [threading.Thread(target=make(None, cache).prepare) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert served["asked"] == 1
    assert len(make(None, cache).load("test")) == 300


def test_loading_before_preparing_is_an_error(cache):
    with pytest.raises(DataError, match=r"prepare\(\)"):
        make(None, cache).load("train")


def test_an_unknown_split_is_an_error_that_names_the_nearest(cache):
    with pytest.raises(DataError, match="Did you mean 'train'"):
        make(None, cache).load("training")


def test_the_real_one_is_whole(real_data, cache):
    train = load(real_data, cache, normalize="none")
    test = load(real_data, cache, "test")
    assert train.arrays["labels"].bincount().tolist() == [270] * 10
    assert test.arrays["labels"].bincount().tolist() == [30] * 10
    for index in (0, 1234, 2699):
        path = real_data / "fsdd" / "recordings" / recordings("train")[index]
        recording, rate = soundfile.read(path, dtype="int16")
        assert rate == 8000
        kept = min(8192, len(recording))
        clip = train.arrays["samples"][index, 0].numpy()
        assert np.array_equal(clip[:kept], recording[:kept])
        assert not clip[kept:].any()
    peaks = train.arrays["samples"].int().abs().amax(dim=(1, 2))
    assert peaks.max() / peaks.min() > 30  # why they are normalised
    assert test.arrays["samples"].int().abs().amax(dim=(1, 2)).unique().tolist() == [29491]


def test_the_digest_covers_names_lengths_and_bytes():
    files = {"a": b"12", "b": b"3"}
    assert content_sha256(files) == content_sha256(dict(reversed(files.items())))
    others = [
        {"a": b"1", "b": b"23"},
        {"a": b"12", "c": b"3"},
        {"a": b"12"},
        {"a": b"13", "b": b"3"},
    ]
    digests = [content_sha256(files), *map(content_sha256, others)]
    assert len(set(digests)) == 5
    by_hand = b"a\0" + (2).to_bytes(8, "little") + b"12"
    assert content_sha256({"a": b"12"}) == hashlib.sha256(by_hand).hexdigest()

"""What files hold is known by content, and large sets are not read again where nothing changed."""

import os
from pathlib import Path

import pytest

from aigc_core import DataError
from aigc_core.datasets import contents, list_files
from aigc_core.datasets.contents import content_digests


def put(path: Path, text: str, at: int = 10**9) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (at, at))


def digests(root: Path, cache: Path) -> list[str]:
    return content_digests(root, list_files(root, (".txt",)), cache)


@pytest.fixture(params=["small", "large"])
def size(request, monkeypatch) -> str:
    if request.param == "large":
        monkeypatch.setattr(contents, "ALWAYS_READ_BYTES", -1)
        monkeypatch.setattr(contents, "SETTLED_NS", -(10**18))  # as if it were long ago
    return request.param


def test_equal_names_sizes_and_times_are_not_equal_content(tmp_path, size) -> None:
    put(tmp_path / "one" / "a.txt", "aaaa")
    put(tmp_path / "two" / "a.txt", "bbbb")
    assert digests(tmp_path / "one", tmp_path) != digests(tmp_path / "two", tmp_path)


def test_an_edit_whose_time_was_put_back_is_seen(tmp_path, size) -> None:
    put(tmp_path / "a.txt", "aaaa")
    before = digests(tmp_path, tmp_path / "cache")
    put(tmp_path / "a.txt", "bbbb")
    assert digests(tmp_path, tmp_path / "cache") != before


def test_files_that_changed_places_are_seen(tmp_path, size) -> None:
    put(tmp_path / "a.txt", "aaaa")
    put(tmp_path / "b.txt", "bbbb")
    before = digests(tmp_path, tmp_path / "cache")
    os.rename(tmp_path / "a.txt", tmp_path / "c")
    os.rename(tmp_path / "b.txt", tmp_path / "a.txt")
    os.rename(tmp_path / "c", tmp_path / "b.txt")
    assert digests(tmp_path, tmp_path / "cache") == before[::-1]


def test_a_link_that_points_elsewhere_is_seen(tmp_path, size) -> None:
    put(tmp_path / "one", "aaaa")
    put(tmp_path / "two", "bbbb")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.txt").symlink_to(tmp_path / "one")
    before = digests(tmp_path / "d", tmp_path / "cache")
    (tmp_path / "d" / "a.txt").unlink()
    (tmp_path / "d" / "a.txt").symlink_to(tmp_path / "two")
    assert digests(tmp_path / "d", tmp_path / "cache") != before


def test_a_folder_that_was_moved_holds_the_same(tmp_path, size) -> None:
    put(tmp_path / "one" / "a.txt", "aaaa")
    before = digests(tmp_path / "one", tmp_path / "cache")
    os.rename(tmp_path / "one", tmp_path / "two")
    assert digests(tmp_path / "two", tmp_path / "cache") == before


def test_a_large_set_is_not_read_twice(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(contents, "ALWAYS_READ_BYTES", -1)
    monkeypatch.setattr(contents, "SETTLED_NS", -(10**18))
    put(tmp_path / "a.txt", "aaaa")
    before = digests(tmp_path, tmp_path / "cache")
    monkeypatch.setattr(contents, "_digest", lambda path: pytest.fail("read again"))
    assert digests(tmp_path, tmp_path / "cache") == before


def test_a_file_that_was_just_written_is_read_again(tmp_path, monkeypatch) -> None:
    """It may change within the same tick of the file system's clock."""
    monkeypatch.setattr(contents, "ALWAYS_READ_BYTES", -1)
    monkeypatch.setattr(contents, "SETTLED_NS", 10**18)
    put(tmp_path / "a.txt", "aaaa")
    digests(tmp_path, tmp_path / "cache")
    monkeypatch.setattr(contents, "_digest", lambda path: "again")
    assert digests(tmp_path, tmp_path / "cache") == ["again"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"files": 7}', '{"files": {"a.txt": 7}}'])
def test_a_damaged_memory_costs_time_alone(tmp_path, monkeypatch, text) -> None:
    monkeypatch.setattr(contents, "ALWAYS_READ_BYTES", -1)
    monkeypatch.setattr(contents, "SETTLED_NS", -(10**18))
    put(tmp_path / "a.txt", "aaaa")
    before = digests(tmp_path, tmp_path / "cache")
    for memory in (tmp_path / "cache" / "digests").iterdir():
        memory.write_text(text)
    assert digests(tmp_path, tmp_path / "cache") == before


def test_a_file_that_is_gone_is_named(tmp_path) -> None:
    put(tmp_path / "a.txt", "aaaa")
    files = list_files(tmp_path, (".txt",))
    (tmp_path / "a.txt").unlink()
    with pytest.raises(DataError, match=r"a\.txt cannot be read: No such file"):
        content_digests(tmp_path, files, tmp_path / "cache")

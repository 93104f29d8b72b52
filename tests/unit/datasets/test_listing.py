"""The files below a folder, and the labels that sub-folders give."""

import os
from pathlib import Path

import pytest

from aigc_core import DataError
from aigc_core.datasets import DataFile, folder_labels, list_files


def put(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def paths(root: Path) -> list[str]:
    return [file.path for file in list_files(root, (".wav",))]


def test_files_are_described_and_sorted_by_path(tmp_path: Path) -> None:
    for name in ("b/1.wav", "a.wav", "b.WAV", "b-c.wav", "notes.txt"):
        put(tmp_path / name, "abc")
    os.utime(tmp_path / "a.wav", ns=(5, 7))
    found = list_files(tmp_path, {".wav"})
    assert [file.path for file in found] == ["a.wav", "b-c.wav", "b.WAV", "b/1.wav"]
    assert found[0] == DataFile("a.wav", bytes=3, mtime_ns=7)


def test_suffixes_of_any_case_match_names_of_any_case(tmp_path: Path) -> None:
    put(tmp_path / "a.wav")
    assert [file.path for file in list_files(tmp_path, [".WAV"])] == ["a.wav"]


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    put(tmp_path / ".a.wav")
    put(tmp_path / ".git" / "a.wav")
    assert paths(tmp_path) == []


def test_a_folder_named_like_a_file_is_no_file(tmp_path: Path) -> None:
    put(tmp_path / "a.wav" / "b.wav")
    assert paths(tmp_path) == ["a.wav/b.wav"]


def test_links_are_followed_and_each_real_folder_is_listed_once(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    put(root / "a.wav")
    put(elsewhere / "b.wav")
    (root / "above").symlink_to(root, target_is_directory=True)
    (root / "first").symlink_to(elsewhere, target_is_directory=True)
    (root / "second").symlink_to(elsewhere, target_is_directory=True)
    (root / "c.wav").symlink_to(elsewhere / "b.wav")
    (root / "dead.wav").symlink_to(tmp_path / "nowhere")
    assert paths(root) == ["a.wav", "c.wav", "first/b.wav"]


def test_a_root_that_is_a_file_is_listed_whatever_its_suffix(tmp_path: Path) -> None:
    file = put(tmp_path / "song.mp3", "abcd")
    assert list_files(file, (".wav",)) == [DataFile("song.mp3", 4, file.stat().st_mtime_ns)]


def test_a_missing_root_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone cannot be read: No such file"):
        list_files(tmp_path / "gone", (".wav",))


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "locked").mkdir()
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"locked cannot be read: Permission denied"):
        list_files(tmp_path, (".wav",))


def test_first_folders_are_labels() -> None:
    assert folder_labels(["dog/a", "cat/x/b", "cat/c"]) == ([1, 0, 0], ["cat", "dog"])


@pytest.mark.parametrize("paths", [[], ["a"], ["cat/a", "b"]])
def test_a_path_in_no_folder_means_no_labels(paths: list[str]) -> None:
    assert folder_labels(paths) == ([], [])

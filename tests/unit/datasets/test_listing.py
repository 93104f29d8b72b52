"""The files below a folder, and the labels that sub-folders give."""

import os
from pathlib import Path

import pytest

from aigc_core import DataError
from aigc_core.datasets import DataFile, folder_labels, label_notes, list_files


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


def test_a_folder_that_cannot_be_read_is_left_out_and_named(tmp_path: Path, monkeypatch) -> None:
    put(tmp_path / "a.wav")
    (tmp_path / "locked").mkdir()
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = list_files(tmp_path, (".wav",))
    assert [file.path for file in found] == ["a.wav"]
    assert found.notes({}) == ["Left out, since they cannot be read: locked/ (permission denied)."]
    with pytest.raises(DataError, match=r"locked cannot be read: Permission denied"):
        list_files(tmp_path / "locked", (".wav",))


def test_what_is_left_out_is_counted_by_suffix_with_what_to_do(tmp_path: Path) -> None:
    for name in ("a.wav", "b.heic", "c.HEIC", "d.txt", "README", ".hidden", "x/e.heic"):
        put(tmp_path / name)
    notes = list_files(tmp_path, (".wav",)).notes({".heic": "install pillow-heif"})
    assert notes == [
        "6 files left out: 3 .heic (install pillow-heif), 1 .txt, 1 without a suffix, 1 hidden."
    ] or sorted(notes[0][18:-1].split(", ")) == sorted(
        ["3 .heic (install pillow-heif)", "1 .txt", "1 without a suffix", "1 hidden"]
    )


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes in folders")
def test_pipes_and_links_to_nothing_are_named_and_never_opened(tmp_path: Path) -> None:
    put(tmp_path / "a.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "dead.wav").symlink_to(tmp_path / "nowhere")
    (note,) = list_files(tmp_path, (".wav",)).notes({})
    assert "dead.wav (no such file or directory)" in note
    assert "pipe.wav (not a regular file)" in note


@pytest.mark.parametrize("names", [["train", "test"], ["Train", "cats"], ["val"]])
def test_folders_with_names_of_splits_are_said_when_they_become_classes(names) -> None:
    (note,) = label_notes(names)
    assert "taken for such" in note
    assert "--data-root" in note
    assert label_notes(["cats", "dogs", "trains"]) == []


def test_first_folders_are_labels() -> None:
    assert folder_labels(["dog/a", "cat/x/b", "cat/c"]) == ([1, 0, 0], ["cat", "dog"])


@pytest.mark.parametrize("paths", [[], ["a"], ["cat/a", "b"]])
def test_a_path_in_no_folder_means_no_labels(paths: list[str]) -> None:
    assert folder_labels(paths) == ([], [])

"""Files and folders are whole or not there."""

import errno
import os
import stat
from pathlib import Path

import pytest

from aigc_core.errors import StorageError
from aigc_core.files import atomic_folder, write_text_atomically


def old_file(folder: Path) -> Path:
    path = folder / "a.yaml"
    path.write_bytes(b"old")
    return path


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = old_file(tmp_path)
    write_text_atomically(path, "new é\n")
    assert path.read_text(encoding="utf-8") == "new é\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_no_other(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    path = old_file(tmp_path)
    monkeypatch.setattr(os, call, full)
    with pytest.raises(StorageError, match=r"Could not write .*a\.yaml: No space left"):
        write_text_atomically(path, "new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_text_that_cannot_be_encoded_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = old_file(tmp_path)
    with pytest.raises(UnicodeEncodeError):
        write_text_atomically(path, "\ud800")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_writing_into_a_missing_folder_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"missing/a\.yaml"):
        write_text_atomically(tmp_path / "missing" / "a.yaml", "new")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such file modes")
def test_a_file_keeps_its_mode(tmp_path: Path) -> None:
    path = old_file(tmp_path)
    path.chmod(0o640)
    write_text_atomically(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_appears_with_all_its_files(exists: bool, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "run"
    if exists:
        target.mkdir(parents=True)
    with atomic_folder(target, last="a") as scratch:
        (scratch / "a").write_text("")
        (scratch / "b").mkdir()
        assert not exists or names(target) == [scratch.name]
    assert names(target) == ["a", "b"]
    assert names(tmp_path / "deep") == ["run"]


def test_a_link_to_an_empty_folder_is_filled_and_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with atomic_folder(tmp_path / "link") as scratch:
        (scratch / "a").write_text("")
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path / "real") == ["a"]


def test_the_current_folder_can_be_filled(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with atomic_folder(Path(".")) as scratch:
        (scratch / "a").write_text("")
    assert names(tmp_path) == ["a"]


def test_what_is_replaced_stands_until_the_new_folder_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "run"
    target.mkdir()
    (target / "old").write_text("")

    def write(fails: bool) -> None:
        with atomic_folder(target, replace=True) as scratch:
            (scratch / "new").write_text("")
            if fails:
                raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - it is the one raised above
        write(fails=True)
    assert names(target) == ["old"]
    write(fails=False)
    assert names(target) == ["new"]
    assert names(tmp_path) == ["run"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_that_failed_leaves_nothing(exists: bool, error, tmp_path: Path) -> None:
    target = tmp_path / "run"
    if exists:
        target.mkdir()

    def fail() -> None:
        with atomic_folder(target) as scratch:
            (scratch / "a").write_text("")
            raise error

    with pytest.raises(error):
        fail()
    assert names(tmp_path) == (["run"] if exists else [])
    assert not exists or names(target) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such file modes")
def test_new_files_and_folders_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with atomic_folder(tmp_path / "run") as scratch:
            write_text_atomically(scratch / "a", "")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "run" / "a").stat().st_mode) == 0o600


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EACCES])
@pytest.mark.parametrize("call", ["open", "fsync"])
def test_a_folder_that_cannot_be_synced_is_no_failure(tmp_path, monkeypatch, number, call) -> None:
    """CIFS, folders shared with a virtual machine and some FUSE file systems answer so."""
    real = getattr(os, call)

    def refuse(what, *arguments, **options):
        folder = os.path.isdir(what) if call == "open" else stat.S_ISDIR(os.fstat(what).st_mode)
        if folder:
            raise OSError(number, os.strerror(number))
        return real(what, *arguments, **options)

    monkeypatch.setattr(os, call, refuse)
    write_text_atomically(tmp_path / "a.yaml", "new")
    assert (tmp_path / "a.yaml").read_text() == "new"
    with atomic_folder(tmp_path / "made") as scratch:
        (scratch / "a").touch()
    assert (tmp_path / "made" / "a").exists()


def test_a_device_that_fails_is_one_unless_the_folder_need_not_be_durable(
    tmp_path, monkeypatch
) -> None:
    real = os.fsync

    def fail(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EIO, "Input/output error")
        real(handle)

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"), atomic_folder(tmp_path / "a"):
        pass
    with atomic_folder(tmp_path / "b", durable=False):
        pass
    assert (tmp_path / "b").is_dir()


def test_a_file_system_without_modes_is_no_failure(tmp_path, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    path = old_file(tmp_path)
    monkeypatch.setattr(os, "chmod", refuse)
    write_text_atomically(path, "new")
    assert path.read_text() == "new"

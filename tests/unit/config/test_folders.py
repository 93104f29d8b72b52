"""Where data is read from and kept."""

from pathlib import Path

import pytest

from aigc_core.config import cache_folder, data_root
from aigc_core.errors import DataError


@pytest.fixture(autouse=True)
def _no_folders_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIGC_DATA_DIR", raising=False)
    monkeypatch.delenv("AIGC_CACHE_DIR", raising=False)


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a").touch()
    return folder


def test_without_a_folder_there_is_none() -> None:
    assert data_root(None) is None


def test_the_given_folder_is_used(filled: Path) -> None:
    assert data_root(str(filled)) == filled


def test_the_variable_names_the_folder(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIGC_DATA_DIR", str(filled))
    assert data_root(None) == filled


def test_the_given_folder_wins_over_the_variable(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIGC_DATA_DIR", "/nowhere")
    assert data_root(str(filled)) == filled


def test_a_relative_folder_is_made_absolute(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(filled.parent)
    assert data_root("data") == filled


def test_the_home_folder_is_expanded(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(filled.parent))
    assert data_root("~/data") == filled


def test_a_missing_folder_is_an_error_that_names_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIGC_DATA_DIR", str(tmp_path / "missing"))
    with pytest.raises(DataError, match=r"missing does not exist\. Check AIGC_DATA_DIR"):
        data_root(None)


def test_a_file_may_be_given_but_is_no_folder_of_all_data(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert data_root(str(filled / "a")) == filled / "a"
    monkeypatch.setenv("AIGC_DATA_DIR", str(filled / "a"))
    with pytest.raises(DataError, match=r"is a file\. Check AIGC_DATA_DIR"):
        data_root(None)


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is empty"):
        data_root(str(tmp_path))


@pytest.mark.parametrize("call", ["exists", "iterdir"])
def test_a_folder_that_may_not_be_read_is_an_error(
    call: str, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, call, denied)  # root, as in a container, may read everything
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        data_root(str(filled))


def test_the_home_of_an_unknown_user_is_an_error() -> None:
    with pytest.raises(DataError, match="--data-root=~nobody-of-that-name/x"):
        data_root("~nobody-of-that-name/x")


def test_the_cache_follows_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIGC_CACHE_DIR", "cache")
    monkeypatch.chdir(tmp_path)
    assert cache_folder() == tmp_path / "cache"


def test_the_cache_of_an_unknown_user_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIGC_CACHE_DIR", "~nobody-of-that-name/x")
    with pytest.raises(DataError, match="AIGC_CACHE_DIR=~nobody-of-that-name/x"):
        cache_folder()


def test_without_the_variable_the_cache_is_a_folder_of_the_user_s() -> None:
    assert cache_folder().is_absolute()
    assert "aigc" in cache_folder().parts

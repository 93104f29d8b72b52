"""Everything that is made, changed or removed outside of the allowed folders is noted."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from aigc_core.testing.process.audit import WriteAudit

WRITES: dict[str, Callable[[Path], object]] = {
    "a file": lambda place: (place / "file").write_text("new", encoding="utf-8"),
    "a file by its handle": lambda place: os.close(os.open(place / "file", os.O_CREAT)),
    "more in a file": lambda place: (place / "old").open("a").close(),
    "a folder": lambda place: (place / "folder").mkdir(),
    "a new name": lambda place: (place / "old").rename(place / "new"),
    "a removal": lambda place: (place / "old").unlink(),
    "a removed tree": lambda place: shutil.rmtree(place / "tree"),
    "a link": lambda place: (place / "link").symlink_to(place / "old"),
    "a hard link": lambda place: os.link(place / "old", place / "link"),
    "a shorter file": lambda place: os.truncate(place / "old", 0),
    "another mode": lambda place: (place / "old").chmod(0o600),
    "a database": lambda place: sqlite3.connect(place / "data.sqlite").close(),
}
ALLOWED: dict[str, Callable[[Path], object]] = {
    "reading": lambda place: (place / "old").read_text(encoding="utf-8"),
    "listing": lambda place: list(place.iterdir()),
    "a folder that is there": lambda place: (place / "tree").mkdir(exist_ok=True),
    "compiled code": lambda place: (place / "__pycache__").mkdir(),
    "nowhere": lambda place: Path(os.devnull).write_text("lost", encoding="utf-8"),
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    folder = tmp_path / "elsewhere"
    (folder / "tree").mkdir(parents=True)
    (folder / "old").write_text("old", encoding="utf-8")
    return folder


@pytest.mark.parametrize("what", WRITES)
def test_writing_elsewhere_is_noted(what: str, place: Path, audit: WriteAudit) -> None:
    with audit.outside(place.parent / "allowed") as found:
        WRITES[what](place)
    assert found
    assert found[0].startswith(f"{place}{os.sep}")
    assert f"from {__file__}, line " in found[0]


@pytest.mark.parametrize("what", WRITES)
def test_writing_in_an_allowed_folder_is_not(what: str, place: Path, audit: WriteAudit) -> None:
    with audit.outside(place) as found:
        WRITES[what](place)
    assert found == []


@pytest.mark.parametrize("what", ALLOWED)
def test_what_changes_nothing_is_not_noted(what: str, place: Path, audit: WriteAudit) -> None:
    with audit.outside(place.parent / "allowed") as found:
        ALLOWED[what](place)
    assert found == []


def test_relative_paths_and_the_temporary_folder(
    place: Path, audit: WriteAudit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    (place.parent / "tmp").mkdir()
    with audit.outside() as found:
        Path("here").touch()
        Path(tempfile.mkdtemp(), "there").touch()
    assert len(found) == 1
    assert found[0].startswith(f"{place / 'here'} (open, from ")


def test_nothing_is_noted_outside_of_the_block(place: Path, audit: WriteAudit) -> None:
    with audit.outside() as found:
        pass
    (place / "later").touch()
    assert found == []

"""``aigc cache``: what was prepared, and how it goes."""

import json
from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture
def prepared(aigc, tmp_path) -> Path:
    (tmp_path / "pics").mkdir()
    for n in range(4):
        Image.new("RGB", (32, 32), (n, 0, 0)).save(tmp_path / "pics" / f"{n}.png")
    done = aigc(
        *("train", "image/dcgan", "--dataset", "image-folder", "--data-root", "pics"),
        *("--set", "model.width=4", "--set", "engine.batch_size=2", "--steps", "1", "-q"),
    )
    assert done.code == 0, done.err
    return tmp_path / "cache"


def test_what_was_prepared_is_listed_with_where_it_is_from(aigc, prepared, tmp_path) -> None:
    (row,) = json.loads(aigc("cache", "list", "--json").out)
    assert row["dataset"] == "image-folder"
    assert row["from"] == str(tmp_path / "pics")
    assert row["there"] is True
    assert row["bytes"] > 4 * 3 * 32 * 32
    (tmp_path / "pics").rename(tmp_path / "moved")
    assert json.loads(aigc("cache", "list", "--json").out)[0]["there"] is False
    assert "image-folder" in aigc("cache", "list").out


def test_clearing_removes_what_was_prepared_and_nothing_else(aigc, prepared, tmp_path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    (prepared / "mine").mkdir()
    (prepared / "mine" / "b.txt").write_text("mine")
    (prepared / "image-folder" / "link").symlink_to(tmp_path / "mine.txt")
    done = aigc("cache", "clear", "image-folder")
    assert done.code == 0, done.err
    assert "Freed 0.0 MB" in done.err
    assert list((prepared / "image-folder").iterdir()) == []
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert (prepared / "mine" / "b.txt").exists()


def test_only_what_is_old_is_cleared_where_that_is_asked_for(aigc, prepared) -> None:
    aigc("cache", "clear", "--older-than", "1")
    assert len(list((prepared / "image-folder").iterdir())) == 1


def test_an_unknown_dataset_is_offered_the_nearest(aigc, prepared) -> None:
    done = aigc("cache", "clear", "image-foldr")
    assert done.code == 2
    assert "Did you mean 'image-folder'?" in done.err


def test_what_a_killed_preparation_left_is_removed_by_the_next(aigc, prepared, tmp_path) -> None:
    folder = prepared / "image-folder"
    scratch = [".abc.safetensors.0123abcd.tmp", ".x.tokens.4711.tmp", ".recordings.89abcdef"]
    for name in scratch[:2]:
        (folder / name).write_text("half")
    (folder / scratch[2]).mkdir()
    (folder / ".mine").write_text("kept")
    Image.new("RGB", (32, 32)).save(tmp_path / "pics" / "new.png")
    aigc(
        *("train", "image/dcgan", "--dataset", "image-folder", "--data-root", "pics"),
        *("--set", "model.width=4", "--set", "engine.batch_size=2", "--steps", "1", "-q"),
    )
    left = {path.name for path in folder.iterdir()}
    assert not left & set(scratch)
    assert ".mine" in left


def test_with_nothing_prepared_there_is_nothing_to_list(aigc) -> None:
    assert "Nothing is prepared" in aigc("cache", "list").err
    assert json.loads(aigc("cache", "list", "--json").out) == []

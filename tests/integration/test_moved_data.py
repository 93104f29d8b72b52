"""Data that was moved, changed or relabelled after a training."""

from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture
def trained(aigc, tmp_path):
    """A conditional run on two folders of pictures."""
    for kind in ("1", "0"):
        (tmp_path / "pics" / kind).mkdir(parents=True)
    for n in range(8):
        Image.new("RGB", (32, 32), (30 * n, 0, 0)).save(tmp_path / "pics" / str(n % 2) / f"{n}.png")
    done = aigc(
        *("train", "image/dcgan", "--dataset", "image-folder", "--data-root", "pics"),
        *("--set", "model.conditional=true", "--set", "model.width=4"),
        *("--set", "engine.batch_size=4", "--steps", "2", "--out", "run", "-q"),
    )
    assert done.code == 0, done.err
    return "run"


def test_evaluate_takes_where_the_data_is_now(aigc, trained) -> None:
    Path("pics").rename("moved")
    assert aigc("evaluate", trained, "--count", "8").code == 2
    done = aigc("evaluate", trained, "--count", "8", "--data-root", "moved")
    assert done.code == 0, done.err
    assert aigc("resume", trained, "--steps", "4", "--data-root", "moved").code == 0


@pytest.mark.parametrize("command", ["evaluate", "resume"])
def test_labels_that_were_changed_are_said(aigc, trained, command) -> None:
    Path("pics/0/0.png").rename("pics/1/0.png")
    Path("pics/1/1.png").rename("pics/0/1.png")
    more = ["--count", "8"] if command == "evaluate" else ["--steps", "4"]
    done = aigc(command, trained, *more)
    assert done.code == 2
    assert "The data is not what" in done.err


def test_one_changed_pixel_is_seen(aigc, trained) -> None:
    picture = Image.open("pics/0/0.png")
    picture.putpixel((3, 3), (255, 255, 255))
    picture.save("pics/0/0.png")
    done = aigc("resume", trained, "--steps", "4")
    assert done.code == 2
    assert "the samples themselves are others" in done.err


def test_data_root_is_refused_where_nothing_reads_data(aigc, trained) -> None:
    done = aigc("generate", trained, "--data-root", "pics")
    assert done.code == 2
    assert "--reconstruct" in done.err


def test_a_label_that_is_a_name_and_another_number_is_said(aigc, tmp_path) -> None:
    for kind in ("1", "2", "3"):
        (tmp_path / "pics" / kind).mkdir(parents=True)
        for n in range(3):
            Image.new("RGB", (32, 32), (n, 0, 0)).save(tmp_path / "pics" / kind / f"{n}.png")
    aigc(
        *("train", "image/dcgan", "--dataset", "image-folder", "--data-root", "pics"),
        *("--set", "model.conditional=true", "--set", "model.width=4"),
        *("--set", "engine.batch_size=4", "--steps", "1", "--out", "run", "-q"),
    )
    done = aigc("generate", "run", "--count", "1", "--label", "1", "--out", "a")
    assert "'1' is taken for the name of a class; class number 1 is '2'" in done.err
    assert "taken for" not in aigc("generate", "run", "--label", "3", "--out", "b").err
    assert "taken for" not in aigc("generate", "run", "--label", "0", "--out", "c").err

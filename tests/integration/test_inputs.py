"""Files as conditions, from the command line."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("aigc_image")


def test_a_file_needs_no_name_where_a_run_takes_only_one(aigc) -> None:
    trained = aigc("train", "image/translate", "--preset", "tiny", "--steps", 2, "--out", "run")
    assert trained.code == 0, trained.err
    Image.fromarray(np.full((32, 32), 200, np.uint8)).save("a=b.png")
    assert "--input FILE" in aigc("show", "run").out
    for given in ("a=b.png", "input=a=b.png"):
        out = f"made-{len(given)}"
        done = aigc("generate", "run", "--input", given, "--count", 2, "--out", out)
        assert done.code == 0, done.err
        assert (Path(out) / "000001.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "draws nothing without 'input'. Give it with: --input FILE"),
        (("--input", "nothing.png"), "There is no file nothing.png"),
        (("--input", "inputs=nothing.png"), "Did you mean 'input'?"),
        (("--input", "text.png"), "text.png cannot be read as an image"),
        (("--label", "seven"), "unconditional"),
        (("--input", "a.png", "--set", "steps=3"), "takes no controls"),
    ],
)
def test_what_is_not_asked_rightly_is_a_sentence(aigc, arguments, sentence: str) -> None:
    aigc("train", "image/translate", "--preset", "tiny", "--steps", 1, "--out", "run")
    Path("text.png").write_text("no picture")
    Image.fromarray(np.zeros((32, 32), np.uint8)).save("a.png")
    done = aigc("generate", "run", *arguments, "--out", "made")
    assert done.code == 2, done
    assert sentence in " ".join(done.err.split())
    assert not Path("made").exists()

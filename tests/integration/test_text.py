"""Text from the command line: what is bad about it is reported, and what is good streams."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from aigc_core import train

pytest.importorskip("aigc_text")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run on pydocs; a second or two."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIGC_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        out = tmp_path_factory.mktemp("runs") / "run"
        return train("text/gpt", preset="tiny", overrides={"engine.device": "cpu"}, out=out)


def check(done, *reported: str) -> None:
    assert done.code == 2, done
    sentence = " ".join(done.err.split())
    for part in reported:
        assert part in sentence, sentence
    assert "Traceback" not in done.err
    assert done.out == ""
    assert not Path("runs").exists(), "a run folder was left behind"


def test_a_prompt_is_gone_on_from(aigc, run) -> None:
    done = aigc("generate", run.path, "--prompt", "The ", "--tokens", 50)
    assert done.code == 0
    assert done.out.startswith("The ")
    assert len(done.out) == len("The ") + 50 + len("\n")
    assert aigc("generate", run.path, "--prompt", "The ", "--tokens", 50).out == done.out
    assert aigc("generate", run.path, "--prompt", "The ", "--tokens", 50, "--seed", 1) != done
    longer = aigc("generate", run.path, "--prompt", "The ", "--tokens", 80)
    assert longer.out.startswith(done.out.rstrip("\n"))


def test_stop_ends_the_text(aigc, run) -> None:
    whole = aigc("generate", run.path, "--prompt", "a", "--tokens", 60).out[1:-1]
    stop = whole[30:33]
    stopped = aigc("generate", run.path, "--prompt", "a", "--tokens", 60, "--stop", stop).out[1:-1]
    assert stopped == whole[: whole.index(stop)]


def test_sampling_options_matter(aigc, run) -> None:
    base = ("generate", run.path, "--prompt", "The ", "--tokens", 40)
    greedy = [aigc(*base, "--set", "top_k=1", "--seed", seed).out for seed in (0, 1)]
    assert greedy[0] == greedy[1]


def test_samples_are_files_of_text(aigc, run) -> None:
    done = aigc("generate", run.path, "--count", 3, "--tokens", 70, "--out", "samples")
    assert done.code == 0, done.err
    files = sorted(Path("samples").glob("0*.txt"))
    assert [len(f.read_bytes().decode()) for f in files] == [70, 70, 70]
    assert Path("samples/preview.txt").is_file()


def test_text_comes_piece_by_piece(run) -> None:
    """The first characters are there long before the last."""
    command = [sys.executable, "-m", "aigc_core", "generate", str(run.path)]
    process = subprocess.Popen(
        [*command, "--prompt", "The ", "--tokens", "1000000"], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.read(200).startswith(b"The ")
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize(
    ("arguments", "reported"),
    [
        (("--prompt", "a", "--label", "x"), "is unconditional, so it cannot be asked for 'x'"),
        (("--prompt", "a", "--set", "temprature=1"), "Did you mean 'controls.temperature'?"),
        (("--prompt", "a", "--set", "temperature=0"), "greater than or equal to 0.001"),
        (("--set", "top_k=0"), "controls.top_k=0"),
        (("--set", "top_p=1.5"), "controls.top_p=1.5"),
        (("--prompt", "ab\u4e00"), "'\u4e00' (U+4E00), character 3 of the text"),
        (("--count", "2", "--prompt", "ab\u4e00"), "'\u4e00' (U+4E00), character 3 of the text"),
        (("--prompt", "a", "--tokens", "0"), "controls.tokens=0"),
        (("--stop", "x"), "--stop goes with a prompt"),
        (("--prompt", "a", "--seed", "-1"), "seed=-1"),
        (("--interpolate",), "no latents"),
        (("--prompt", "a", "--interpolate"), "--prompt does not go with --interpolate"),
        (("--prompt", "a", "--reconstruct"), "--prompt does not go with --interpolate and --reco"),
        (("--reconstruct",), "does not reconstruct"),
        (("--format", "png"), "There is no format 'png'"),
    ],
)
def test_what_cannot_be_generated_is_reported(aigc, run, arguments, reported: str) -> None:
    before = sorted(run.path.rglob("*"))
    check(aigc("generate", run.path, *arguments), reported)
    assert sorted(run.path.rglob("*")) == before


def test_a_metric_for_numbers_on_a_scale_is_not_for_tokens(aigc, run) -> None:
    check(aigc("evaluate", run.path), "There is no metric for samples of text")
    metric = ("--metric", "sliced-wasserstein")
    check(aigc("evaluate", run.path, *metric), "those of text are tokens (int64)")
    assert not (run.path / "evaluations.jsonl").exists()


def test_pictures_take_no_prompt(aigc, quick_run) -> None:
    check(aigc("generate", quick_run.path, "--prompt", "a cat"), "image/dcgan takes no text")
    check(aigc("generate", quick_run.path, "--tokens", "3"), "it takes no controls")


FILES = ("train", "text/gpt", "--preset", "tiny", "--dataset", "text-files")


@pytest.mark.parametrize(
    ("content", "options", "reported"),
    [
        (b"", (), "text.txt is empty"),
        (b"\x7fELF\0\0\0", (), "text.txt is not text: byte 4 is 0"),
        (b"caf\xe9 ol\xe9", (), "text.txt is not UTF-8: byte 3 is 0xe9"),
        (b"too short", (), "train part of 'text-files' has 8"),
        (b"words " * 100, ("dataset.options.context=600",), "A sample is 601 tokens"),
        (b"words " * 100, ("dataset.options.contxt=6",), "Did you mean 'dataset.options.context'"),
        (b"words " * 100, ("dataset.options.tokenizer=word",), "dataset.options.tokenizer=word"),
        (b"words " * 100, ("model.heads=3",), "heads=3 does not divide width=32"),
    ],
)
def test_text_that_cannot_be_trained_on_is_reported(aigc, content, options, reported: str) -> None:
    Path("text.txt").write_bytes(content)
    sets = [part for option in options for part in ("--set", option)]
    check(aigc(*FILES, "--data-root", "text.txt", *sets), reported)


def test_own_text_is_trained_on(aigc) -> None:
    Path("mine").mkdir()
    Path("mine/a.md").write_text("Ein Kätzchen. " * 60, encoding="utf-8")
    done = aigc(*FILES, "--data-root", "mine", "--steps", 3, "--out", "run", "--device", "cpu")
    assert done.code == 0, done.err
    assert "validation" in re.sub(r"\s+", " ", Path("run/metrics.jsonl").read_text())
    assert aigc("generate", "run", "--prompt", "Kä", "--tokens", 5).out.startswith("Kä")


def test_byte_pairs_come_with_the_run(aigc) -> None:
    Path("text.txt").write_text("Ein Kätzchen 😀. " * 100, encoding="utf-8")
    sets = (
        "--set",
        "dataset.options.tokenizer=bpe",
        "--set",
        "dataset.options.vocabulary_size=300",
    )
    sets = (*sets, "--set", "dataset.options.validation=0", "--set", "dataset.options.context=8")
    done = aigc(*FILES, "--data-root", "text.txt", "--steps", 3, "--out", "run", *sets)
    assert done.code == 0, done.err
    Path("text.txt").unlink()
    for path in Path("cache").rglob("*.tokens*"):
        path.unlink()
    assert aigc("generate", "run", "--prompt", "日本", "--tokens", 9).out.startswith("日本")

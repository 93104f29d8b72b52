"""The main job: train, look, resume, generate; by command line and by library."""

import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import QUICK
from PIL import Image

import aigc_core
from aigc_core.engine import Engine
from aigc_core.errors import StorageError


def weights_digest(run: Path) -> str:
    newest = sorted((run / "checkpoints").iterdir())[-1]
    return hashlib.sha256((newest / "weights.safetensors").read_bytes()).hexdigest()


def test_a_run_folder_holds_everything(aigc, quick, tmp_path) -> None:
    done = aigc("train", "image/dcgan", *quick, "--out", "run")
    assert done.code == 0, done.err
    run = tmp_path / "run"
    assert {p.name for p in run.iterdir()} >= {
        *("config.yaml", "dataset.json", "environment.json", "metrics.jsonl"),
        *("samples", "checkpoints"),
    }
    assert [p.name for p in sorted((run / "checkpoints").iterdir())] == [
        *("step-000002", "step-000004", "step-000006"),
    ]
    assert Image.open(run / "samples" / "step-000006.png").width > 32
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6]
    assert {"loss/generator", "loss/discriminator", "samples_per_second"} <= lines[0].keys()
    assert "Samples: run/samples/step-000006.png" in done.err


def test_the_same_seed_gives_the_same_bytes(aigc, quick, tmp_path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        aigc("train", "image/dcgan", *quick, "--seed", seed, "--out", name)
    digests = [weights_digest(tmp_path / name) for name in "abc"]
    assert digests[0] == digests[1] != digests[2]


def test_a_run_can_be_trained_on_and_matches_one_that_was_longer_from_the_start(
    aigc, quick, tmp_path
) -> None:
    aigc("train", "image/dcgan", *quick, "--out", "whole", "--set", "engine.steps=6")
    short = [o if o != "engine.steps=6" else "engine.steps=3" for o in quick]
    aigc("train", "image/dcgan", *short, "--out", "parts")
    finished = aigc("resume", "parts")
    assert finished.code == 2
    assert f"{tmp_path / 'parts'} is complete: step 3 of 3." in finished.err
    assert "aigc resume parts --steps 6" in finished.err
    assert aigc("resume", "parts", "--steps", 6).code == 0
    assert weights_digest(tmp_path / "whole") == weights_digest(tmp_path / "parts")
    steps = [json.loads(x)["step"] for x in Path("parts/metrics.jsonl").read_text().splitlines()]
    assert steps == [2, 3, 4, 6]


def test_a_damaged_checkpoint_is_set_aside_and_the_run_ends_the_same(aigc, quick, tmp_path) -> None:
    aigc("train", "image/dcgan", *quick, "--out", "whole")
    aigc("train", "image/dcgan", *quick, "--out", "run")
    expected = weights_digest(tmp_path / "whole")
    newest = tmp_path / "run" / "checkpoints" / "step-000006" / "state.safetensors"
    data = bytearray(newest.read_bytes())
    data[-1] ^= 1
    newest.write_bytes(data)
    done = aigc("resume", "run")
    assert done.code == 0, done.err
    assert "is damaged" in done.err
    assert weights_digest(tmp_path / "run") == expected
    assert (tmp_path / "run" / "checkpoints" / "step-000006.damaged").is_dir()
    steps = [json.loads(x)["step"] for x in Path("run/metrics.jsonl").read_text().splitlines()]
    assert steps == [2, 4, 6]  # step 6 was logged twice and is there once


def test_a_run_that_died_before_its_first_checkpoint_starts_again(aigc, quick, tmp_path) -> None:
    aigc("train", "image/dcgan", *quick, "--out", "run")
    expected = weights_digest(tmp_path / "run")
    shutil.rmtree("run/checkpoints")
    Path("run/checkpoints").mkdir()
    done = aigc("resume", "run")
    assert done.code == 0, done.err
    assert "has no checkpoint yet: training starts from step 0" in " ".join(done.err.split())
    assert weights_digest(tmp_path / "run") == expected


def test_json_tells_where_the_samples_are(aigc, quick) -> None:
    done = aigc("train", "image/dcgan", *quick, "--out", "run", "--json", "--quiet")
    result = json.loads(done.out)
    assert (result["status"], result["step"]) == ("complete", 6)
    assert Path(result["run"]) == Path("run").absolute()
    assert Path(result["samples"]).exists()
    assert done.err == ""


def test_epochs_become_steps_when_the_data_is_known(aigc, quick) -> None:
    options = [o for o in quick if o not in ("engine.steps=6",)]
    options = [
        o for i, o in enumerate(options) if not (o == "--set" and options[i + 1 :][:1] == ["--set"])
    ]
    done = aigc("train", "image/dcgan", *options, "--epochs", "0.05", "--out", "run", "--json")
    assert json.loads(done.out)["step"] == 6  # ceil(0.05 * 1797 / 16)


def test_generated_arrays_do_not_depend_on_the_count(aigc, quick_run) -> None:
    for count in (3, 70):
        done = aigc(
            *("generate", quick_run.path, "--count", count, "--seed", 5),
            *("--format", "npy", "--out", f"n{count}"),
        )
        assert done.code == 0, done.err
    few, many = np.load("n3/samples.npy"), np.load("n70/samples.npy")
    assert few.dtype == np.uint8
    assert many.shape == (70, 1, 32, 32)
    assert np.array_equal(few, many[:3])
    assert Image.open("n3/preview.png")


def test_generated_pictures_are_the_arrays(aigc, quick_run) -> None:
    aigc("generate", quick_run.path, "--count", 3, "--out", "png")
    aigc("generate", quick_run.path, "--count", 3, "--out", "npy", "--format", "npy")
    files = sorted(p.name for p in Path("png").iterdir())
    pictures = ["000000.png", "000001.png", "000002.png"]
    assert files == [*pictures, "manifest.json", "preview.png"]
    array = np.load("npy/samples.npy")
    for index in range(3):
        assert np.array_equal(np.asarray(Image.open(f"png/{files[index]}")), array[index, 0])


def test_generating_without_out_writes_into_the_run_and_can_be_repeated(aigc, quick_run) -> None:
    for _ in range(2):
        done = aigc("generate", quick_run.path, "--count", 2, "--json")
        result = json.loads(done.out)
        assert Path(result["folder"]).parent == quick_run.path / "generated"
        assert len(result["files"]) == 2


def test_the_library_is_as_good_as_the_command_line(tmp_path) -> None:
    seen: list[int] = []

    class Watcher:
        @aigc_core.hookimpl
        def aigc_metrics_logged(self, step: int) -> None:
            seen.append(step)

    run = aigc_core.train(
        "image/dcgan",
        dataset="digits",
        overrides=QUICK,
        out=tmp_path / "run",
        observers=[Watcher()],
    )
    samples = aigc_core.generate(run, count=16, seed=0)
    assert samples.shape == (16, 1, 32, 32)
    assert samples.dtype == torch.uint8
    assert seen == [2, 4, 6]
    assert run.status == "complete"
    assert aigc_core.open_run(run.path).config == run.config


def test_an_observer_that_raises_is_switched_off_and_the_training_goes_on(
    tmp_path, monkeypatch
) -> None:
    class Faulty:
        @aigc_core.hookimpl
        def aigc_metrics_logged(self, step: int) -> None:
            raise RuntimeError("no space for my plot")

    reported: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: reported.append(record.getMessage())
    monkeypatch.setattr(logging.getLogger("aigc"), "handlers", [handler])
    run = aigc_core.train(
        "image/dcgan", dataset="digits", overrides=QUICK, out=tmp_path / "run", observers=[Faulty()]
    )
    assert run.status == "complete"
    assert len(reported) == 1
    assert "'Faulty' failed in aigc_metrics_logged" in reported[0]


def test_previews_show_the_same_latents_at_every_step_and_others_for_another_seed(
    aigc, quick, monkeypatch
) -> None:
    drawn: list[tuple[int, int]] = []
    sample = Engine.sample_columns

    def spy(self: Engine, count: int, *, seed: int) -> dict[str, torch.Tensor]:
        drawn.append((count, seed))
        return sample(self, count, seed=seed)

    monkeypatch.setattr(Engine, "sample_columns", spy)
    often = ["--set", "engine.sample_every=2"]
    aigc("train", "image/dcgan", *quick, *often, "--out", "a")
    assert len(drawn) == 3
    assert len(set(drawn)) == 1
    aigc("train", "image/dcgan", *quick, *often, "--out", "b", "--seed", 1)
    assert len(set(drawn)) == 2


@pytest.mark.slow
def test_the_real_mnist_trains_without_a_network(aigc, quick, real_data, monkeypatch) -> None:
    monkeypatch.setenv("AIGC_DATA_DIR", str(real_data))
    before = sorted(p.name for p in (real_data / "mnist" / "MNIST" / "raw").iterdir())
    options = [o if o != "digits" else "mnist" for o in quick]
    done = aigc("train", "image/dcgan", *options, "--out", "run", "--json")
    assert json.loads(done.out)["step"] == 6
    assert json.loads(Path("run/dataset.json").read_text())["count"] == 60_000
    assert before == sorted(p.name for p in (real_data / "mnist" / "MNIST" / "raw").iterdir())


class Stops:
    """Asks for the end at step 4; what else watches still gets the call."""

    @aigc_core.hookimpl(tryfirst=True)
    def aigc_metrics_logged(self, step: int) -> None:
        if step >= 4:
            raise aigc_core.StopTraining("the loss is low enough")


def test_an_observer_of_a_run_may_stop_it_with_a_checkpoint(aigc, tmp_path) -> None:
    run = aigc_core.train(
        "image/dcgan", dataset="digits", overrides=QUICK, out=tmp_path / "run", observers=[Stops()]
    )
    assert (run.step, run.status, run.ending.reason) == (4, "complete", "stopped")
    assert [row["step"] for row in run.metrics] == [2, 4]
    assert run.latest_preview.name == "step-000004.png"
    refused = aigc("resume", run.path)
    assert refused.code == 2
    assert "it was stopped at step 4: the loss is low enough. Train on with" in refused.err
    assert aigc("resume", run.path, "--steps", 6).code == 0
    assert (run.step, run.ending.reason) == (6, "steps")


def test_a_full_disk_keeps_its_cause(tmp_path, monkeypatch) -> None:
    def full(*arguments: object, **more: object) -> None:
        raise StorageError("The disk is full.") from OSError(28, "No space left on device")

    monkeypatch.setattr("aigc_core.api.recorder.save_checkpoint", full)
    with pytest.raises(StorageError, match="The disk is full") as failed:
        aigc_core.train("image/dcgan", dataset="digits", overrides=QUICK, out=tmp_path / "run")
    assert isinstance(failed.value.__cause__, OSError)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("aigc train image/d", "image/dcgan"),
        ("aigc train image/dcgan --preset qu", "quick"),
        ("aigc train image/dcgan --dataset digits", "digits"),
        ("aigc train image/dcgan --set engine.checkpoint.ev", "engine.checkpoint.every="),
    ],
)
def test_a_shell_completes_names(line: str, expected: str) -> None:
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    environment = {**os.environ, **words, "_AIGC_COMPLETE": "complete_bash"}
    command = [sys.executable, "-c", "import sys; sys.argv[0] = 'aigc'; "
               "from aigc_core.cli import main; main()"]  # fmt: skip
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == [expected], done.stderr

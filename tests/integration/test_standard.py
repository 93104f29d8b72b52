"""Training until a standard is reached, and the best checkpoint, from the command line."""

import hashlib
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import QUICK

from aigc_core import Dataset, DatasetSpec, SampleStore, generate, hookimpl, open_run, train
from aigc_core.plugins import PluginStatus, get_host

pytest.importorskip("aigc_text")

GPT = ("train", "text/gpt", "--preset", "tiny", "--device", "cpu")
OFTEN = ("--set", "engine.validate_every=5", "--set", "engine.checkpoint.every=10")
CONSTANT = ("--set", "trainer.optimizer.schedule=constant")  # the same whatever the last step is


def check(done, *reported: str) -> None:
    assert done.code == 2, done
    sentence = " ".join(done.err.split())
    for part in reported:
        assert part in sentence, sentence
    assert "Traceback" not in done.err
    assert not Path("runs").exists(), "a run folder was left behind"


def losses(run: str) -> dict[int, float]:
    lines = [json.loads(line) for line in Path(run, "metrics.jsonl").read_text().splitlines()]
    return {m["step"]: m["validation/loss"] for m in lines if "validation/loss" in m}


def weights(run: str, step: int) -> str:
    path = Path(run, "checkpoints", f"step-{step:06d}", "weights.safetensors")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_training_ends_at_the_first_validation_that_meets_the_standard(aigc) -> None:
    done = aigc(*GPT, *OFTEN, "--steps", 60, "--until", "validation/loss<=3.5", "--out", "run")
    assert done.code == 0, done.err
    (row,) = json.loads(aigc("runs", "run", "--json").out)
    found = losses("run")
    last = max(found)
    assert last == row["step"] < 60
    assert found[last] <= 3.5 < min(found[step] for step in found if step < last)
    reported = f"reached the standard validation/loss <= 3.5 with {found[last]:.6g} at step {last}"
    assert re.search(rf"Done in \d+ s: {re.escape(reported)}\.", done.err), done.err
    assert (row["status"], row["ended"]["reason"]) == ("complete", "standard")
    assert row["ended"]["message"] == reported
    assert row["best"] == {"metric": "validation/loss", "value": found[last], "step": last}
    table = aigc("runs", "run").out
    assert "standard" in table
    assert f"validation/loss {found[last]:.6g} at {last}" in table


def test_a_run_that_has_reached_it_goes_on_when_it_is_reported_to(aigc) -> None:
    gpt = (*GPT, *OFTEN, *CONSTANT)
    aigc(*gpt, "--steps", 40, "--until", "validation/loss<=3.9", "--out", "run")
    first = open_run("run").step
    done = aigc("resume", "run")
    check(done, "run is complete: it reached the standard", "--steps 40")
    done = aigc("resume", "run", "--until", "validation/loss<=3.6", "--json")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert result["ended"] == "standard"
    assert first < result["step"] < 40
    done = aigc("resume", "run", "--steps", 50, "--json")
    assert "it is resumed without engine.standard" in done.err
    assert (json.loads(done.out)["ended"], json.loads(done.out)["step"]) == ("steps", 50)
    straight = aigc(*gpt, "--steps", 50, "--out", "straight")
    assert straight.code == 0
    assert weights("run", 50) == weights("straight", 50)


def test_a_standard_that_is_not_reached_is_reported_plainly(aigc) -> None:
    done = aigc(*GPT, *OFTEN, "--until", "validation/loss <= 0.1", "--out", "run")
    assert done.code == 0
    best = min(losses("run").values())
    assert "did all 20 steps; the standard validation/loss <= 0.1 was not reached" in done.err
    assert f"the best was {best:.6g}" in done.err


OVERFIT = {  # a learning rate that spoils the loss again after a while
    "engine.validate_every": 5,
    "engine.steps": 60,
    "engine.device": "cpu",
    "engine.checkpoint.keep": 1,
    "trainer.optimizer.lr": 0.3,
    "trainer.optimizer.schedule": "constant",
}


@pytest.fixture
def overfit(tmp_path: Path):
    return train("text/gpt", preset="tiny", overrides=OVERFIT, out=tmp_path / "overfit")


def test_the_best_checkpoint_is_kept_and_generated_from(aigc, overfit) -> None:
    found = losses(str(overfit.path))
    best = min(found, key=lambda step: found[step])
    assert best < 60, "the last is the best, so this would prove nothing"
    assert sorted(p.name for p in overfit.checkpoints.iterdir()) == [
        f"step-{best:06d}",
        "step-000060",
    ]
    assert (overfit.best.step, overfit.best.value) == (best, found[best])
    done = aigc("generate", overfit.path, "--checkpoint", "best", "--count", 2, "--json")
    assert json.loads(done.out)["step"] == best
    assert json.loads(aigc("generate", overfit.path, "--count", 2, "--json").out)["step"] == 60
    ours, newest = (generate(overfit, count=2, checkpoint=c) for c in ("best", None))
    assert not ours.equal(newest)
    assert ours.equal(generate(overfit, count=2, checkpoint=best))
    streamed = [
        aigc("generate", overfit.path, "--prompt", "a", "--checkpoint", c).out for c in ("best", 60)
    ]
    assert streamed[0] != streamed[1]
    check(aigc("generate", overfit.path, "--checkpoint", "bets"), "Did you mean 'best'?")


def test_patience_ends_it(aigc, tmp_path) -> None:
    run = train(
        "text/gpt",
        preset="tiny",
        overrides=OVERFIT | {"engine.patience": 2},
        out=tmp_path / "run",
    )
    assert (run.status, run.ending.reason) == ("complete", "patience")
    assert run.step == run.best.step + 10 < 60


KILLED = """
import json, os, signal, sys
from aigc_core import hookimpl, resume, train

class Kill:
    @hookimpl
    def aigc_metrics_logged(self, step):
        if step == int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[2] == "resume":
    resume("run", steps=int(sys.argv[3]), observers=[Kill()])
else:
    settings = json.loads(sys.argv[3])
    train("text/gpt", preset="tiny", overrides=settings, out="run", observers=[Kill()])
"""


def kill_at(step: int, what: str, argument: object) -> None:
    """Train or resume ``run`` in a process that kill -9 ends when it logs a step."""
    command = [sys.executable, "-c", KILLED, str(step), what, json.dumps(argument)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.slow
def test_kill_9_loses_neither_the_best_nor_the_count(aigc, overfit) -> None:
    kill_at(overfit.best.step + 5, "train", OVERFIT)
    run = open_run("run")
    assert run.status == "unfinished"
    assert run.best.step in [int(path.name[5:]) for path in run.checkpoints.glob("step-*")]
    assert aigc("resume", "run").code == 0
    assert open_run("run").best == overfit.best
    for step in (overfit.best.step, 60):
        assert weights("run", step) == weights(str(overfit.path), step)
    assert losses("run") == losses(str(overfit.path))


@pytest.mark.slow
@pytest.mark.parametrize("steps", [60, 70])
def test_a_run_that_went_on_after_its_patience_and_was_killed_goes_on(aigc, steps) -> None:
    patient = OVERFIT | {"engine.patience": 2, "engine.checkpoint.keep_best": "auto"}
    run = train("text/gpt", preset="tiny", overrides=patient, out="run")
    end = run.step
    assert (run.status, run.ending.reason) == ("complete", "patience")
    kill_at(end + 5, "resume", steps)
    assert (run.step, open_run("run").status) == (end, "unfinished")
    (row,) = json.loads(aigc("runs", "run", "--json").out)
    assert (row["status"], row["ended"]) == ("unfinished", None)
    assert aigc("resume", "run").code == 0
    assert open_run("run").status == "complete"
    assert open_run("run").step > end


def test_a_best_checkpoint_that_is_gone_is_found_anew(aigc, overfit, caplog) -> None:
    (overfit.checkpoints / f"step-{overfit.best.step:06d}").rename("elsewhere")
    check(aigc("generate", overfit.path, "--checkpoint", "best"), "is not in", "any more")
    assert aigc("resume", overfit.path, "--steps", 70).code == 0
    assert open_run(overfit.path).best.step in (65, 70)


@pytest.mark.parametrize(
    ("arguments", "reported"),
    [
        (("--until", "validation/los<=1"), "Did you mean 'validation/loss'?"),
        (("--until", "validation/los<=1"), "Measured: validation/bits_per_token, validation/loss"),
        (("--until", "validation/loss"), 'in quotes because a shell takes < and > for its own: "'),
        (("--until", "validation/loss>=1"), "validation/loss is better when lower"),
        (
            ("--until", "validation/loss<=1", "--set", "engine.standard.at_most=2"),
            "'engine.standard.at_most' is given twice: until=validation/loss<=1 and",
        ),
        (
            ("--until", "validation/loss<=1", "--set", "engine.standard.at_least=2"),
            "give at_most or at_least, not both",
        ),
        (
            ("--until", "validation/loss<=1", "--set", "engine.validation_samples=0"),
            "standard needs validation",
        ),
        (
            ("--until", "validation/loss<=1", "--set", "dataset.options.validation=0"),
            "engine.standard needs held-out data, and the dataset 'pydocs' has an empty split",
        ),
        (("--set", "engine.checkpoint.keep_best=loss"), "Did you mean 'validation/loss'?"),
        (("--set", "engine.validation_metrics=[sliced-wasserstien]"), "no metric 'sliced-wass"),
        (("--set", "engine.validation_metrics=[sliced-wasserstein]"), "text are tokens (int64)"),
        (("--set", "engine.validation_metrics=fid"), "it should be a list, such as [a, b]"),
        (("--set", "engine.steps=true"), "it should be a number, not true or false"),
    ],
)
def test_what_cannot_be_judged_is_reported_before_training(aigc, arguments, reported: str) -> None:
    check(aigc(*GPT, *arguments), reported)


@pytest.mark.parametrize(
    ("arguments", "reported"),
    [
        (
            ("--until", "validation/loss<=1"),
            "image/dcgan measures nothing on held-out data by itself. Name metrics with "
            "engine.validation_metrics",
        ),
        (
            ("--set", "engine.validation_metrics=[sliced-wasserstein]"),
            "the dataset 'plain-digits' has no split 'validation' or 'test'",
        ),
    ],
)
def test_without_held_out_data_or_a_measure_that_is_reported(
    aigc, halves, arguments, reported
) -> None:
    check(
        aigc("train", "image/dcgan", "--dataset", "plain-digits", "--steps", 2, *arguments),
        reported,
    )


class Halves(Dataset):
    """The digits, half of them held out."""

    def prepare(self) -> None: ...

    def load(self, split: str) -> SampleStore:
        from aigc_image.datasets.digits import Digits
        from aigc_image.options import DigitsOptions

        whole = Digits(DigitsOptions(), self.folders).load("train")
        half = slice(0, None, 2) if split == "train" else slice(1, None, 2)
        arrays = {name: array[half] for name, array in whole.arrays.items()}
        return SampleStore(arrays, whole.spec, whole.label_names)


class Plugin:
    @hookimpl
    def aigc_register_datasets(self) -> list[DatasetSpec]:
        code = f"{__name__}:Halves"
        common = {"modality": "image", "summary": "", "code": code, "embedded": True}
        return [
            DatasetSpec(name="half-digits", splits=("train", "test"), **common),
            DatasetSpec(name="plain-digits", **common),
        ]


@pytest.fixture
def halves():
    """A dataset of pictures with a held-out split, in this process's host."""
    host = get_host()
    host.register(Plugin(), PluginStatus("halves", __name__))
    assert host.status("halves").error is None
    yield
    host.manager.unregister(name="halves")
    status = host.status("halves")
    host.statuses.remove(status)
    host.registered.forget(status)


GAN = QUICK | {
    "engine.steps": 40,
    "engine.device": "cpu",
    "engine.validate_every": 4,
    "engine.checkpoint.every": 4,
    "engine.validation_metrics": ["sliced-wasserstein"],
    "engine.validation_metric_samples": 60,
}
DISTANCE = "validation/sliced-wasserstein/distance"


def distances(run) -> dict[int, float]:
    return {int(m["step"]): m[DISTANCE] for m in run.metrics.read() if DISTANCE in m}


def test_a_gan_is_judged_by_its_samples(halves, tmp_path) -> None:
    run = train("image/dcgan", dataset="half-digits", overrides=GAN, out=tmp_path / "run")
    found = distances(run)
    assert list(found) == list(range(4, 41, 4))
    best = min(found, key=lambda step: found[step])
    assert (run.best.metric, run.best.step, run.best.value) == (DISTANCE, best, found[best])
    bound = sorted(found.values())[2]
    first = next(step for step, value in found.items() if value <= bound)
    standard = {"engine.standard": {"metric": DISTANCE, "at_most": bound}}
    ended = train(
        "image/dcgan", dataset="half-digits", overrides=GAN | standard, out=tmp_path / "ended"
    )
    assert (ended.step, ended.ending.reason) == (first, "standard")


def test_comparing_samples_leaves_a_gan_s_weights_the_same(halves, tmp_path) -> None:
    plain = GAN | {"engine.validation_metrics": []}
    for name, settings in (("with", GAN), ("without", plain)):
        train("image/dcgan", dataset="half-digits", overrides=settings, out=tmp_path / name)
    assert weights(str(tmp_path / "with"), 40) == weights(str(tmp_path / "without"), 40)


def test_an_interrupted_gan_has_the_same_best(aigc, halves, tmp_path) -> None:
    straight = train("image/dcgan", dataset="half-digits", overrides=GAN, out=tmp_path / "run")

    class Stop:
        @hookimpl
        def aigc_metrics_logged(self, step: int) -> None:
            if step == 18:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(
            "image/dcgan",
            dataset="half-digits",
            overrides=GAN,
            out=tmp_path / "stopped",
            observers=[Stop()],
        )
    stopped = open_run(tmp_path / "stopped")
    assert stopped.step == 16
    assert aigc("resume", stopped.path).code == 0
    assert stopped.best == straight.best
    assert distances(stopped) == distances(straight)
    assert weights(str(stopped.path), 40) == weights(str(straight.path), 40)


def test_that_a_metric_is_tried_out_is_said_unless_progress_is_not_wanted(aigc) -> None:
    metric = ("--set", "engine.validation_metrics=[sliced-wasserstein]")
    reported = [
        aigc("train", "audio/wavegan", "--preset", "tiny", "--steps", 1, *metric, *more).err
        for more in ((), ("--quiet",))
    ]
    assert "Trying out" in reported[0]
    assert "Trying out" not in reported[1]

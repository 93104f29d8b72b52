"""Before a training of minutes, what is fastest on this machine is found out."""

import json
from pathlib import Path

import pytest
import torch
from conftest import QUICK

import aigc_core
from aigc_core.api import tuning
from aigc_core.config import cache_folder
from aigc_core.engine import Engine
from aigc_core.report.facts import RunFacts

FP32 = {"engine.precision": "fp32"}


@pytest.fixture(autouse=True)
def _any_training_is_tuned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "_FEWEST_STEPS", 6)
    monkeypatch.setattr(tuning, "WORTH_SECONDS", 0.0)
    monkeypatch.setattr(tuning, "SHARE", 1e9)


@pytest.fixture
def speeds(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool, int]]:
    """What was tried. Channels last takes half the time, and each thread as much as any."""
    tried: list[tuple[str, bool, int]] = []
    real = tuning._seconds_per_step

    def seconds(engine: Engine) -> float:
        assert real(engine) > 0
        threads = engine._threads or torch.get_num_threads()
        tried.append((engine.precision, engine.channels_last, threads))
        return 1.0 if engine.channels_last else 2.0

    monkeypatch.setattr(tuning, "_seconds_per_step", seconds)
    return tried


def train(out: str, **overrides: object) -> aigc_core.Run:
    return aigc_core.train(
        "image/dcgan", dataset="digits", overrides=QUICK | FP32 | overrides, out=out, progress=False
    )


def weights(run: aigc_core.Run) -> bytes:
    return (run.checkpoints / "step-000006" / "weights.safetensors").read_bytes()


def test_the_fastest_is_taken_kept_in_the_run_and_remembered(speeds, aigc) -> None:
    run = train("first")
    assert speeds[:2] == [("fp32", False, speeds[0][2]), ("fp32", True, speeds[0][2])]
    found = run.config["engine"]["tuned"]
    assert found["channels_last"] is True
    assert found["threads"] == torch.get_num_threads()
    assert RunFacts(run, "first").settings["engine.tuned.channels_last"].origin == "tuned"
    assert weights(run) == weights(train("asked", **{"engine.channels_last": True}))
    tried = len(speeds)
    assert train("second").config["engine"]["tuned"] == found
    assert len(speeds) == tried
    assert aigc("resume", "first", "--steps", 8).code == 0
    assert aigc_core.open_run("first").config["engine"]["tuned"] == found


def test_trials_leave_no_trace_in_the_training(speeds, monkeypatch) -> None:
    monkeypatch.setattr(tuning, "GAIN", 3.0)  # nothing is that much faster
    run = train("tuned")
    assert len(speeds) > 1
    assert run.config["engine"]["tuned"]["channels_last"] is False
    assert weights(run) == weights(train("plain", **{"engine.tune": "off"}))


def test_what_is_set_is_not_tried(speeds) -> None:
    train("off", **{"engine.tune": "off"})
    assert speeds == []
    train("set", **{"engine.channels_last": False})
    assert not any(channels_last for _, channels_last, _ in speeds)


def test_elsewhere_what_was_found_does_not_count(speeds) -> None:
    run = train("here")
    elsewhere = run.config["engine"]["tuned"] | {"machine": "another"}
    moved = train("there", **{"engine.tuned": elsewhere})
    assert weights(moved) == weights(train("plain", **{"engine.tune": "off"}))


def test_a_memory_that_cannot_be_read_is_made_anew(speeds) -> None:
    cache_folder().mkdir(parents=True)
    (cache_folder() / tuning.FILE).write_text("[half", encoding="utf-8")
    train("run")
    assert len(json.loads((cache_folder() / tuning.FILE).read_text(encoding="utf-8"))) == 1


def test_a_signal_during_trials_leaves_nothing_behind(monkeypatch) -> None:
    def stopped(engine: Engine) -> float:
        raise aigc_core.Interrupted("Stopped before the training began.", 2)

    monkeypatch.setattr(tuning, "_seconds_per_step", stopped)
    with pytest.raises(aigc_core.Interrupted):
        train("run")
    assert not Path("run").exists()


def test_a_trial_that_fails_is_left_to_the_training(monkeypatch) -> None:
    def fails(engine: Engine) -> float:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(tuning, "_seconds_per_step", fails)
    assert train("run").config["engine"]["tuned"] is None

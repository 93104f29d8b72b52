"""Ctrl-C, SIGTERM and kill -9, on a real process."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

LONG = [
    *("--set", "engine.steps=400", "--set", "engine.checkpoint.every=20"),
    *("--set", "engine.checkpoint.keep=100"),
]


def start(options: list[str], out: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "aigc_core", "train", "image/dcgan", *options, "--out", out]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)  # another process's file cannot be waited for in another way


def digest(run: str) -> str:
    return hashlib.sha256(
        Path(run, "checkpoints", "step-000400", "weights.safetensors").read_bytes()
    ).hexdigest()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> str:
    """Digest of the weights of a run that nothing stopped."""
    from conftest import QUICK

    from aigc_core import train

    out = tmp_path_factory.mktemp("straight") / "run"
    train(
        "image/dcgan",
        dataset="digits",
        overrides=QUICK | {"engine.steps": 400, "engine.checkpoint.every": 20},
        out=out,
    )
    return digest(str(out))


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_writes_a_checkpoint_and_says_how_to_resume(
    aigc, quick, uninterrupted, number, code
) -> None:
    process = start([*quick, *LONG], "run")
    wait_for(Path("run/checkpoints/step-000020/manifest.json"), process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "a checkpoint was written. Resume with: aigc resume run" in err
    assert "Traceback" not in err
    stopped = json.loads(aigc("runs", ".", "--json").out)[0]
    assert stopped["status"] == "unfinished"
    assert f"Stopped at step {stopped['step']};" in err

    assert aigc("resume", "run").code == 0
    assert digest("run") == uninterrupted


@pytest.mark.slow
def test_kill_9_loses_no_more_than_the_steps_since_the_last_checkpoint(
    aigc, quick, uninterrupted
) -> None:
    process = start([*quick, *LONG], "run")
    wait_for(Path("run/checkpoints/step-000060/manifest.json"), process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert aigc("resume", "run").code == 0
    assert digest("run") == uninterrupted
    steps = [json.loads(x)["step"] for x in Path("run/metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(2, 401, 2))

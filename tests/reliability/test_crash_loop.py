"""Kill a training again and again, at moments of chance, and lose nothing.

    pytest tests/reliability -m reliability --crashes 20

The short version, kill -9 once, is in tests/integration/test_interruption.py.
"""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

STEPS = 2000


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "aigc_core", *arguments]


def digest(run: Path) -> str:
    weights = run / "checkpoints" / f"step-{STEPS:06d}" / "weights.safetensors"
    return hashlib.sha256(weights.read_bytes()).hexdigest()


def newest() -> str:
    return max(
        (path.parent.name for path in Path("run").glob("checkpoints/*/manifest.json")), default=""
    )


@pytest.mark.reliability
def test_a_run_that_is_killed_over_and_over_ends_with_the_same_bytes(quick, request) -> None:
    crashes = request.config.getoption("--crashes")
    options = [*quick, "--set", f"engine.steps={STEPS}", "--set", "engine.checkpoint.every=10"]
    subprocess.run(command("train", "image/dcgan", *options, "--out", "whole"), check=True)
    chance = random.Random(0)
    happened = 0
    arguments = ["train", "image/dcgan", *options, "--out", "run"]
    for _ in range(crashes):
        before = newest()
        process = subprocess.Popen(command(*arguments), stderr=subprocess.DEVNULL)
        while process.poll() is None and newest() == before:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.3))  # then anywhere up to some checkpoints later
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            happened += 1
        process.wait()
        if Path("run").exists():
            arguments = ["resume", "run"]
        if process.returncode == 0:
            break
    done = subprocess.run(command(*arguments), capture_output=True, text=True, check=False)
    assert done.returncode == 0 or "is complete" in done.stderr
    assert happened >= 3
    print(f"killed {happened} times")
    assert digest(Path("run")) == digest(Path("whole"))
    assert not list(Path("run").glob("checkpoints/*.damaged"))

"""Kill trainings again and again, at moments of chance, and lose nothing: not a byte of the folder.

    pytest tests/reliability -m reliability --chains 50

Each chain trains a recipe, is killed (mostly ``kill -9``, sometimes SIGTERM) and resumed until it
is complete, then extended and killed again; and the folder is compared with that of a training
that nothing stopped. What is time is left out: ``samples_per_second`` and ``train_seconds``, and
with them the checksums of the files that they are in; when and where the run was started; and
TensorBoard's event files, of which each process begins its own. The short version, kill -9 once,
is in tests/integration/test_interruption.py.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

STEPS, EXTENDED = 60, 80
EVERY = 5
DCGAN = ["image/dcgan", "--dataset", "digits", "--set", "model.width=4"]
RECIPES = {
    "dcgan": DCGAN,
    "dcgan-conditional": [*DCGAN, "--set", "model.conditional=true", "--set", "engine.ema=0.9"],
    "wgan-gp": [*DCGAN, "--preset", "wgan-gp"],
    "vae": ["image/vae", "--preset", "tiny"],
    "flow": ["image/flow", "--preset", "tiny"],
    "translate": ["image/translate", "--preset", "tiny"],
    "cyclegan": ["image/cyclegan", "--preset", "tiny"],
    "wavegan": ["audio/wavegan", "--preset", "tiny"],
    "specgan": ["audio/specgan", "--preset", "tiny"],
    "audio-flow": ["audio/flow", "--preset", "tiny"],
    "wavenet": ["audio/wavenet", "--preset", "tiny"],
    "gpt": ["text/gpt", "--preset", "tiny"],
    "text-gan": ["text/gan", "--preset", "tiny"],
    "masked": ["text/masked", "--preset", "tiny"],
    "joint": ["joint/flow", "--preset", "tiny"],
}
SETTINGS = {
    "engine.steps": STEPS,
    "engine.batch_size": 8,
    "engine.log_every": 2,
    "engine.sample_every": EVERY,
    "engine.sample_count": 4,
    "engine.validate_every": 10,
    "engine.validation_samples": 16,
    "engine.checkpoint.every": EVERY,
}
TIME = {"samples_per_second", "train_seconds"}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "aigc_core", *arguments]


def train_command(recipe: str, out: str) -> list[str]:
    sets = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={value}")]
    return command("train", *RECIPES[recipe], *sets, "--device", "cpu", "--out", out, "-q")


def without_time(data: dict) -> dict:
    data = {k: v for k, v in data.items() if k not in TIME}
    if "logged" in data:
        data["logged"] = data["logged"][0]
    if isinstance(data.get("run"), dict):  # with a digest of lines that have times in them
        data["run"] = {k: v for k, v in data["run"].items() if k != "metrics"}
    return data


def content(path: Path) -> object:
    data = path.read_bytes()
    match path.name:
        case "metrics.jsonl":
            return [without_time(json.loads(line)) for line in data.splitlines()]
        case "state.json":
            return without_time(json.loads(data))
        case "manifest.json":
            files = json.loads(data)["files"]
            return {name: entry for name, entry in files.items() if name != "state.json"}
        case "environment.json":
            own = ("started", "command", "record")
            return {k: v for k, v in json.loads(data).items() if k not in own}
        case "config.yaml":
            return yaml.safe_load(data)
        case ".resumed.json":  # from which step is a matter of when it was killed
            return json.loads(data)["config"]
    return data


def everything(run: Path) -> dict[str, object]:
    return {
        str(path.relative_to(run)): content(path)
        for path in sorted(run.rglob("*"))
        if path.is_file() and not path.name.startswith("events.") and path.name != ".lock"
    }


def newest(run: str) -> int:
    names = [path.parent.name for path in Path(run).glob("checkpoints/*/manifest.json")]
    return max((int(name[5:]) for name in names if re.fullmatch(r"step-\d+", name)), default=-1)


def run_chain(arguments: list[str], run: str, chance: random.Random, kills: int) -> int:
    """Start, kill and resume until it is complete; return how often it was killed."""
    happened = 0
    while True:
        before = newest(run)
        process = subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        if happened < kills:
            while process.poll() is None and newest(run) == before:
                time.sleep(0.005)
            time.sleep(chance.uniform(0, 0.15))  # then anywhere up to some checkpoints later
            if process.poll() is None:
                number = signal.SIGTERM if chance.random() < 0.2 else signal.SIGKILL
                os.kill(process.pid, number)
                happened += 1
        _, err = process.communicate()
        if process.returncode == 0 or b"is complete" in err:
            return happened
        # SIGTERM itself where it came as the interpreter was ending already.
        assert -process.returncode in (signal.SIGKILL, signal.SIGTERM, -143), err.decode()
        if Path(run).exists():
            arguments = command("resume", run, "-q")


@pytest.mark.reliability
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_chain_of_kills_ends_in_the_same_folder(recipe, request) -> None:
    chains = max(1, request.config.getoption("--chains") // len(RECIPES))
    subprocess.run(train_command(recipe, "straight"), check=True)
    extend = command("resume", "straight", "--steps", str(EXTENDED), "-q")
    subprocess.run(extend, check=True)
    expected = everything(Path("straight"))
    chance = random.Random(recipe)
    killed = 0
    for chain in range(chains):
        run = f"chain-{chain}"
        killed += run_chain(train_command(recipe, run), run, chance, kills=4)
        extended = command("resume", run, "--steps", str(EXTENDED), "-q")
        killed += run_chain(extended, run, chance, kills=1)
        found = everything(Path(run))
        assert sorted(found) == sorted(expected)
        assert not [name for name in expected if found[name] != expected[name]]
    print(f"{recipe}: killed {killed} times in {chains} chains, all folders equal")
    assert killed >= chains

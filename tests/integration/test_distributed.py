"""Several processes train as one: the same bytes as one of them, whatever happens to any."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from together import CASES, EARLY

from aigc_core import train

pytestmark = pytest.mark.timeout(900)  # only against hanging: each starts several processes
TOGETHER = Path(__file__).parents[1] / "together.py"
SMALL = [
    *("image/vae", "--preset", "tiny", "--device", "cpu", "--batch-size", "8", "--steps", "60"),
    *("--set", "engine.checkpoint.every=5", "--set", "engine.checkpoint.keep=100"),
    *("--set", "engine.sample_every=1000", "--set", "engine.validation_samples=8"),
]
Run = Callable[..., subprocess.Popen[str]]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "aigc_core", *arguments]


@pytest.fixture
def run() -> Iterator[Run]:
    """Start a program; what it started is ended with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(arguments: list[str], **environment: str) -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                arguments,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            )
        )
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.communicate()


def free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def as_two(start: Run, arguments: list[str]) -> list[subprocess.Popen[str]]:
    """Start a program twice, as a launcher of two processes would."""
    shared = {
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": free_port(),
    }
    return [start(arguments, RANK=rank, LOCAL_RANK=rank, **shared) for rank in "01"]


def finished(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=800)
    assert process.returncode == 0, err
    return out + err


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """Folder of what every case gave: one process with accumulate=2, and each of two."""
    folder = tmp_path_factory.mktemp("together")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for name in ("one", "two", "whole"):
        (folder / name).mkdir()
    script = [sys.executable, os.fspath(TOGETHER)]
    port = free_port()
    ranks = [
        {
            **environment,
            "WORLD_SIZE": "2",
            "RANK": rank,
            "LOCAL_RANK": rank,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
        }
        for rank in "01"
    ]
    processes = [
        *(subprocess.Popen([*script, os.fspath(folder / "two"), "2"], env=env) for env in ranks),
        subprocess.Popen([*script, os.fspath(folder / "one"), "2"], env=environment),
        subprocess.Popen([*script, os.fspath(folder / "whole"), "1", *EARLY], env=environment),
    ]
    assert [process.wait(timeout=800) for process in processes] == [0, 0, 0, 0]
    return folder


def tensors(folder: Path, case: str, rank: int = 0) -> dict[str, torch.Tensor]:
    found = load_file(folder / f"{case}-{rank}.safetensors")
    return {name: value for name, value in found.items() if not name.startswith("meter/")}


EXACT = sorted({*CASES, "not finite"} - {"batch-norm", "shared-norm", "vqvae"})


@pytest.mark.slow
@pytest.mark.parametrize("case", EXACT)
def test_two_processes_end_with_the_bytes_of_one_that_accumulates(trained, case) -> None:
    """Weights, averaged weights and the optimisers' state after 20 steps."""
    one, two = tensors(trained / "one", case), tensors(trained / "two", case)
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert torch.equal(value, two[name]), name


@pytest.mark.slow
@pytest.mark.parametrize("case", sorted({*CASES, "not finite"}))
def test_all_processes_hold_the_same_bytes(trained, case) -> None:
    """``batch-norm`` is compared after every step: its statistics are the mean of all."""
    first, second = (trained / "two" / f"{case}-{rank}.txt" for rank in (0, 1))
    assert first.read_text() == second.read_text()


@pytest.mark.slow
def test_a_codebook_of_two_processes_learns_from_both(trained) -> None:
    """To rounding: sums over vectors are added in another order."""
    one, two = tensors(trained / "one", "vqvae"), tensors(trained / "two", "vqvae")
    usage = "autoencoder.quantizer.usage"
    assert float(two[usage].sum()) == pytest.approx(float(one[usage].sum()), rel=1e-5)
    assert torch.allclose(one[usage], two[usage], rtol=0.02, atol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("case", sorted(EARLY))
def test_two_processes_learn_what_one_does_from_the_whole_batch(trained, case) -> None:
    """Before rounding grows; a gradient penalty mixes real and fake by numbers that are drawn."""
    name = f"{case}-0-early.safetensors"
    first, second = load_file(trained / "whole" / name), load_file(trained / "two" / name)
    for key, value in first.items():
        assert torch.allclose(value, second[key], rtol=1e-5, atol=1e-5), key


@pytest.mark.slow
def test_a_sample_that_is_not_finite_is_skipped_by_all(trained) -> None:
    guard = tensors(trained / "two", "not finite")["phase/discriminator/guard"]
    assert guard[1] == 1  # its row is in one process's part of one step
    for rank in (0, 1):
        found = tensors(trained / "two", "not finite", rank)
        assert all(value.isfinite().all() for value in found.values())


def weights(out: str, step: int = 60) -> bytes:
    return Path(out, "checkpoints", f"step-{step:06d}", "weights.safetensors").read_bytes()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> bytes:
    """The weights of a run that two processes trained, and nothing stopped."""
    out = os.fspath(tmp_path_factory.mktemp("undisturbed") / "run")
    ran = subprocess.run(
        command("train", *SMALL, "--out", out, "--nproc", "2"), capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert "2 processes, each with 4 of a batch's 8 samples." in ran.stderr
    assert ran.stderr.count("Done in") == 1, "one process speaks"
    return weights(out)


@pytest.mark.slow
def test_the_run_of_two_processes_is_that_of_one_that_accumulates(run, undisturbed) -> None:
    finished(run(command("train", *SMALL, "--set", "engine.accumulate=2", "--out", "one")))
    assert weights("one") == undisturbed


@pytest.mark.slow
def test_in_python_too(undisturbed) -> None:
    made = train(
        "image/vae",
        preset="tiny",
        device="cpu",
        batch_size=8,
        steps=60,
        overrides={"engine.validation_samples": 8, "engine.sample_every": 1000},
        out="run",
        nproc=2,
        progress=False,
    )
    assert made.step == 60
    assert weights("run") == undisturbed


def workers(launcher: int) -> dict[int, int]:
    """Return the processes that a launcher has started, by their ranks."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children")
    found = {}
    for pid in map(int, children.read_text().split()):
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        found |= {int(e[5:]): pid for e in environment if e.startswith(b"RANK=")}
    return found


def wait_for_step(out: str, step: int, process: subprocess.Popen[str]) -> None:
    manifest = Path(out, "checkpoints", f"step-{step:06d}", "manifest.json")
    while not manifest.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)  # another process's file cannot be waited for in another way


on_linux = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")


def kill_once(start: Run, out: str, rank: int, step: int) -> None:
    """Train with two processes, of which one is killed after a step; all go on from there."""
    options = ["--out", out, "--nproc", "2", "--max-restarts", "1"]
    process = start(command("train", *SMALL, *options))
    wait_for_step(out, step, process)
    os.kill(workers(process.pid)[rank], signal.SIGKILL)
    said = finished(process)
    assert "Traceback" not in said


@on_linux
@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_is_killed_costs_nothing_but_time(run, undisturbed, rank) -> None:
    kill_once(run, "run", rank, 20)
    assert weights("run") == undisturbed


@on_linux
@pytest.mark.reliability
@pytest.mark.timeout(3600)
def test_whichever_is_killed_whenever_the_bytes_are_the_same(run, undisturbed) -> None:
    chance = torch.Generator().manual_seed(0)
    for number in range(20):
        step = 5 * int(torch.randint(1, 11, (), generator=chance))
        kill_once(run, f"run-{number}", number % 2, step)
        assert weights(f"run-{number}") == undisturbed


@on_linux
@pytest.mark.slow
@pytest.mark.parametrize("signalled", ["one process", "the launcher"])
def test_a_signal_stops_all_processes_with_a_checkpoint(run, undisturbed, signalled) -> None:
    process = run(command("train", *SMALL, "--out", "run", "--nproc", "2"))
    wait_for_step("run", 5, process)
    pid = workers(process.pid)[1] if signalled == "one process" else process.pid
    os.kill(pid, signal.SIGTERM)
    _, err = process.communicate(timeout=800)
    assert process.returncode == 143, err
    assert err.count("a checkpoint was written. Resume with: aigc resume run") == 1
    assert "Traceback" not in err

    finished(run(command("resume", "run", "--nproc", "2")))
    assert weights("run") == undisturbed


@pytest.mark.slow
def test_any_number_of_processes_may_resume_a_run(run, undisturbed, aigc) -> None:
    made = aigc("train", *SMALL, "--out", "run", "--no-start")
    assert made.code == 0, made.err
    assert Path(made.out.strip()).samefile("run")
    assert not list(Path("run/checkpoints").iterdir())
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    finished(run([*launcher, "--nproc-per-node=2", "-m", "aigc_core", "resume", "run"]))
    assert weights("run") == undisturbed

    alone = aigc("resume", "run", "--steps", "62", "--set", "engine.accumulate=2")
    assert alone.code == 0, alone.err
    assert "of a training with 2 processes, and it is resumed with 1 process:" in alone.err


@pytest.mark.slow
def test_what_all_processes_would_say_is_said_once(run) -> None:
    processes = as_two(run, command("resume", "nowhere"))
    errors = [process.communicate(timeout=800)[1] for process in processes]
    assert [process.returncode for process in processes] == [2, 2]
    assert errors[0].startswith("Error: There is no run at nowhere.")
    assert errors[1] == ""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--nproc", "0"), "nproc=0 is no number of processes"),
        (("--nproc", "-2"), "nproc=-2 is no number of processes"),
        (("--nproc", "3"), "3 of them cannot share it evenly. Set engine.batch_size=6 or 9."),
        (("--nproc", "2", "--max-restarts", "-1"), "max_restarts=-1 is below 0"),
        (("--max-restarts", "1"), "give nproc, too"),
        (
            ("--nproc", "2", "--set", "trainer.privacy.epsilon=8"),
            "A private training (trainer.privacy) takes one process",
        ),
    ],
)
def test_what_cannot_be_shared_is_refused_before_a_folder_is_made(aigc, options, said) -> None:
    refused = aigc("train", *SMALL, "--out", "run", *options)
    assert refused.code == 2
    assert said in refused.err
    assert not Path("run").exists()


def test_more_processes_than_gpus_are_refused(aigc, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    refused = aigc("train", *SMALL[:3], "--device", "cuda", "--out", "run", "--nproc", "2")
    assert refused.code == 2
    assert "2 processes need a GPU each, and PyTorch sees 1 of them here." in refused.err
    assert not Path("run").exists()


def test_each_of_several_processes_does_not_make_a_run_of_its_own(aigc, monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    refused = aigc("train", *SMALL, "--out", "run")
    assert refused.code == 2
    assert "This is one of 2 processes, as torchrun starts them" in refused.err
    assert not Path("run").exists()


@pytest.mark.slow
def test_the_example_for_two_machines_trains_with_two_launchers(run, undisturbed, aigc) -> None:
    """The page's script for SLURM, with a process instead of eight on each of two "machines"."""
    assert aigc("train", *SMALL, "--out", "runs/big", "--no-start").code == 0
    page = (Path(__file__).parents[2] / "docs" / "distributed.md").read_text(encoding="utf-8")
    example = page[page.index("srun torchrun") : page.index("```\n\n`--signal=TERM@60`")]
    for old, new in (("--nproc-per-node 8", "--nproc-per-node 1"), ("29500", free_port())):
        assert old in example
        example = example.replace(old, new)
    launcher = f'torchrun() {{ "{sys.executable}" -m torch.distributed.run "$@"; }}'
    script = f'head=localhost\nsrun() {{ "$@"; }}\n{launcher}\n{example}'
    nodes = [run(["bash", "-c", script], SLURM_JOB_ID="7") for _ in range(2)]
    for node in nodes:
        finished(node)
    assert weights("runs/big") == undisturbed

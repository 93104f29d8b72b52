"""Output is never a reason to stop: broken pipes, full disks, closed streams, terminals."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="these streams are POSIX's")

FULL = Path("/dev/full")


def start(arguments: list[str], **streams) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "aigc_core", *arguments], **streams)


@pytest.fixture
def training(quick) -> list[str]:
    return ["train", "image/dcgan", *quick, "--set", "engine.log_every=1", "--out", "run"]


def assert_complete() -> None:
    assert Path("run/checkpoints/step-000006/manifest.json").exists()
    assert len(Path("run/metrics.jsonl").read_text().splitlines()) == 6


@pytest.mark.slow
def test_a_training_whose_output_nobody_reads_any_more_goes_on(training) -> None:
    process = start(training, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=120) == 0
    assert_complete()


@pytest.mark.slow
@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
def test_a_training_whose_log_is_on_a_full_disk_goes_on(training) -> None:
    with FULL.open("wb") as full:
        assert start(training, stdout=full, stderr=full).wait(timeout=120) == 0
    assert_complete()


@pytest.mark.slow
def test_a_training_whose_terminal_is_closed_goes_on(training) -> None:
    import pty

    ours, theirs = pty.openpty()
    process = start(training, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.read(ours, 1)  # it has begun to write
    os.close(ours)
    assert process.wait(timeout=120) == 0
    assert_complete()


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&- <&-"])
def test_closed_streams_do_not_give_their_numbers_to_files_of_the_run(training, closed) -> None:
    command = " ".join(f"'{part}'" for part in [sys.executable, "-m", "aigc_core", *training])
    assert subprocess.run(f"{command} {closed}", shell=True, check=False).returncode == 0
    assert_complete()


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("arguments", [["recipes"], ["recipes", "--json"], ["runs", "--json"]])
def test_a_result_that_cannot_be_written_is_one_sentence(arguments) -> None:
    with FULL.open("wb") as full:
        process = start(arguments, stdout=full, stderr=subprocess.PIPE)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.decode().strip() == (
        "Error: The output could not be written: No space left on device."
    )


def test_a_listing_that_is_cut_off_is_quiet() -> None:
    process = start(["recipes", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait(timeout=60) in (0, 1)


@pytest.mark.slow
def test_what_a_model_writes_reaches_a_terminal_escaped_and_a_pipe_as_it_is(aigc, tmp_path) -> None:
    import pty

    (tmp_path / "log.txt").write_bytes(b"\x1b[31mERROR\x1b[0m a \x07 b\n" * 200)
    done = aigc(
        *("train", "text/gpt", "--preset", "tiny", "--dataset", "text-files"),
        *("--data-root", "log.txt", "--set", "dataset.options.context=16", "--steps", "40"),
        *("--out", "run", "-q"),
    )
    assert done.code == 0, done.err
    arguments = ["generate", "run", "--prompt", "\x1b[31m", "--tokens", "60"]
    piped = subprocess.run(
        [sys.executable, "-m", "aigc_core", *arguments], capture_output=True, check=True
    )
    assert b"\x1b" in piped.stdout
    ours, theirs = pty.openpty()
    process = start(arguments, stdin=subprocess.DEVNULL, stdout=theirs)
    os.close(theirs)
    seen = b""
    try:
        while block := os.read(ours, 4096):
            seen += block
    except OSError:  # what reading a terminal ends with
        pass
    assert process.wait(timeout=60) == 0
    os.close(ours)
    assert b"\\x1b[31m" in seen
    assert not {b"\x1b", b"\x07"} & {bytes([byte]) for byte in seen}


def test_a_removed_folder_is_no_reason_to_fail_for_absolute_paths(quick_run, tmp_path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f"cd {gone} && rmdir {gone} && {sys.executable} -m aigc_core"
    done = subprocess.run(
        f"{script} runs {tmp_path}", shell=True, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert str(quick_run.path) in done.stdout
    done = subprocess.run(
        f"{script} generate run --count 1", shell=True, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["--version"], ["recipes"], ["runs"], ["train"]])
def test_a_user_without_a_home_and_a_name_can_work(arguments, quick) -> None:
    """As in containers: there is no HOME, and passwd knows no such user."""
    taken = ("HOME", "AIGC_CONFIG_DIR", "LOGNAME", "USER", "LNAME", "USERNAME")
    environment = {k: v for k, v in os.environ.items() if k not in taken}
    if arguments == ["train"]:
        arguments = ["train", "image/dcgan", *quick, "--out", "run", "-q"]
    code = (
        "import pwd, sys\n"
        "def unknown(number): raise KeyError(f'getpwuid(): uid not found: {number}')\n"
        "pwd.getpwuid = unknown\n"
        "from aigc_core.cli import main\n"
        f"sys.argv = ['aigc', *{arguments!r}]; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr

"""Commands that only list answer without torch and servers, which take long to import."""

import json
import subprocess
import sys

import pytest

REPORT = (
    "import sys, atexit, json; from aigc_core.cli import main; "
    "HEAVY = ('torch', 'starlette', 'uvicorn'); "
    "atexit.register(lambda: sys.stderr.write('\\n' + json.dumps(sorted("
    "m for m in sys.modules if m.split('.')[0].startswith(HEAVY))))); "
    "sys.argv = ['aigc', *sys.argv[1:]]; main()"
)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["plugins", "list"],
        ["recipes"],
        ["datasets", "--json"],
        ["datasets", "pack", "--help"],
        ["modalities"],
        ["runs"],
        ["config", "show", "image/dcgan"],
        ["config", "schema", "image/dcgan"],
        ["train", "image/dcgam"],
        ["train", "image/dcgan", "--set", "model.sise=3"],
    ],
    ids=" ".join,
)
def test_torch_is_not_imported(arguments: list[str], tmp_path) -> None:
    command = [sys.executable, "-c", REPORT, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == (2 if arguments[0] == "train" else 0), done.stderr
    assert json.loads(done.stderr.splitlines()[-1]) == []


def test_the_report_would_show_torch(tmp_path) -> None:
    """The check above can fail: ``doctor`` does import torch."""
    command = [sys.executable, "-c", REPORT, "doctor"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert "torch" in json.loads(done.stderr.splitlines()[-1])

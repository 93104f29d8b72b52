"""Where the joint plugin's tests find their data."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def aigc(monkeypatch, capsys) -> Callable[..., Result]:
    """Call the command line in this process."""
    from aigc_core.cli import main

    def call(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["aigc", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        return Result(code, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real datasets: AIGC_TEST_DATA, or shared/data beside the repository."""
    beside = Path(__file__).resolve().parents[4] / "shared" / "data"
    folder = Path(os.environ.get("AIGC_TEST_DATA") or beside)
    if not ((folder / "fsdd" / "recordings").is_dir() and (folder / "mnist").is_dir()):
        pytest.skip(f"the real MNIST and FSDD are not in {folder} (set AIGC_TEST_DATA)")
    return folder

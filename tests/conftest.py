"""What several tests need: a command line in this process, a quick training, the real data."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fake_plugins import FakePlugins

QUICK = {  # a second instead of minutes; every part of a real run is there
    "engine.steps": 6,
    "engine.batch_size": 16,
    "engine.sample_count": 4,
    "engine.log_every": 2,
    "engine.checkpoint.every": 2,
    "model.width": 4,
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--chains", type=int, default=8, help="chains of the reliability test")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long proofs out unless they are asked for by ``-m``."""
    if "reliability" in (config.getoption("-m") or ""):
        return
    long = [item for item in items if item.get_closest_marker("reliability")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]


@dataclass
class Result:
    code: int
    out: str
    err: str


@pytest.fixture(scope="session", autouse=True)
def _nothing_from_outside() -> Iterator[None]:
    """No variable of the user's reaches a test, nor a fixture of a module.

    Not ``AIGC_STRICT`` either: with it no warning about a plugin could be tested. That the
    project's own plugin loads strictly has its test in ``test_plugin_commands.py``.
    """
    with pytest.MonkeyPatch.context() as outside:
        for name in [name for name in os.environ if name.startswith("AIGC_")]:
            if name != "AIGC_TEST_DATA":
                outside.delenv(name)
        yield


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test works in an empty folder, with a cache and a configuration of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIGC_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("AIGC_CONFIG_DIR", str(tmp_path / "config"))
    before = dict(os.environ)
    yield
    monkeypatch.undo()
    leaked = {k for k in {*before, *os.environ} if k.startswith("AIGC") and k in os.environ}
    assert leaked <= set(before), f"left in the environment: {leaked}"


@pytest.fixture
def aigc(monkeypatch, capsys) -> Callable[..., Result]:
    """Call the command line in this process: ``aigc("runs", "--json").out``."""
    from aigc_core.cli import main

    def call(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["aigc", *map(str, arguments)])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        return Result(code, *capsys.readouterr())

    return call


@pytest.fixture
def fake_plugins(tmp_path: Path) -> FakePlugins:
    """A folder to install plugins into, and ``aigc`` in a process that finds them."""
    return FakePlugins(tmp_path / "installed")


@pytest.fixture
def quick() -> list[str]:
    """Options that make ``aigc train image/dcgan`` a matter of a second."""
    sets = [part for key, value in QUICK.items() for part in ("--set", f"{key}={value}")]
    return ["--dataset", "digits", "--device", "cpu", *sets]


@pytest.fixture
def quick_run(tmp_path: Path):
    """A finished run of six steps."""
    from aigc_core import train

    return train("image/dcgan", dataset="digits", overrides=QUICK, out=tmp_path / "run")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The real datasets, where they are: AIGC_TEST_DATA, or beside the checkout."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("AIGC_TEST_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set AIGC_TEST_DATA to run this")
    return folder

"""The life of a plugin in an environment of its own, from wheels, away from the checkout."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
POINTS = ROOT / "examples" / "aigc-points"


@dataclass
class Environment:
    """A virtual environment without the checkout, and with no index to install from."""

    folder: Path
    work: Path
    core: Path
    points: Path

    def run(self, program: str, *arguments: object, code: int = 0) -> subprocess.CompletedProcess:
        command = [str(self.folder / "bin" / program), *map(str, arguments)]
        done = subprocess.run(
            command, env=variables(), cwd=self.work, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, (command, done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done

    def pip(self, *arguments: object) -> subprocess.CompletedProcess:
        return self.run("python", "-m", "pip", *arguments)

    def aigc(self, *arguments: object, code: int = 0) -> subprocess.CompletedProcess:
        return self.run("aigc", *arguments, code=code)

    def plugins(self) -> dict[str, dict]:
        listed = json.loads(self.aigc("plugins", "list", "--json").stdout)
        return {row["plugin"]: row for row in listed if row["plugin"]}


def variables() -> dict[str, str]:
    """The tests' own variables, but for what leads to the checkout or to a network."""
    away = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return {**away, "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def build_wheel(project: Path, target: Path) -> Path:
    options = ["--no-build-isolation", "--no-deps", "--wheel-dir", str(target)]
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", *options, str(project)]
    done = subprocess.run(command, env=variables(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = target.glob("*.whl")
    return wheel


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """A new environment that has what the core needs, by links, and nothing of aigc."""
    pytest.importorskip("hatchling", reason="wheels are built with hatchling, offline")
    folder, links, work = (tmp_path / name for name in ("venv", "links", "work"))
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = (folder / "lib").glob("python*/site-packages")
    for path in {Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")}:
        links.mkdir(exist_ok=True)
        for entry in path.iterdir():
            if "aigc" not in entry.name.lower():
                (links / entry.name).symlink_to(entry)
    (site / "heavy.pth").write_text(f"{links}\n")
    work.mkdir()
    core = build_wheel(ROOT, tmp_path / "core")
    points = build_wheel(POINTS, tmp_path / "points")
    return Environment(folder, work, core, points)


@pytest.mark.slow
def test_a_plugin_is_installed_used_checked_removed_and_installed_again(
    environment: Environment,
) -> None:
    aigc, work = environment.aigc, environment.work
    environment.pip("install", environment.core, environment.points)
    where = environment.run("python", "-c", "import aigc_core; print(aigc_core.__file__)").stdout
    assert Path(where).is_relative_to(environment.folder)

    points = environment.plugins()["points"]
    assert (points["status"], points["distribution"]) == ("active", "aigc-points")
    assert points["recipes"] == ["points/gan"]
    assert "image" not in environment.plugins()
    assert {row["modality"] for row in json.loads(aigc("modalities", "--json").stdout)} >= {
        *("points", "image"),  # the catalogue is in the wheel
    }

    trained = aigc("train", "points/gan", "--steps", 20, "--device", "cpu", "--json", "--quiet")
    run = Path(json.loads(trained.stdout)["run"])
    assert run.is_relative_to(work)
    aigc("generate", run, "--count", 3, "--out", "before")
    assert len(list((work / "before").glob("*.ply"))) == 3

    checked = json.loads(aigc("plugins", "check", "points", "--json").stdout)
    assert checked
    assert {result["status"] for result in checked} == {"passed"}

    assert aigc("plugins", "uninstall", "points").stdout == "Removed: aigc-points.\n"
    assert "points" not in environment.plugins()
    (row,) = json.loads(aigc("runs", "--json").stdout)
    assert (row["run"], row["recipe"], row["status"]) == (str(run), "points/gan", "complete")
    refused = aigc("generate", run, "--out", "without", code=2)
    assert "aigc-points" in refused.stderr
    assert not (work / "without").exists()

    wheel = Path(shutil.copy(environment.points, work))
    installed = aigc("plugins", "install", f"./{wheel.name}")
    assert installed.stdout.startswith("points (aigc-points ")
    assert "active. It brings modalities: points;" in installed.stdout
    aigc("generate", run, "--count", 3, "--out", "after")
    before = {path.name: path.read_bytes() for path in (work / "before").iterdir()}
    assert {path.name: path.read_bytes() for path in (work / "after").iterdir()} == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "project",
    [".", *(f"plugins/{name}" for name in ("audio", "image", "joint", "points", "text", "video"))],
)
def test_what_would_be_published_is_complete(project: str, tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT / project, env=variables(), check=True, capture_output=True)
    files = sorted(tmp_path.iterdir())
    assert {path.suffix for path in files} == {".whl", ".gz"}
    check = [sys.executable, "-m", "twine", "check", "--strict", *map(str, files)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    (wheel,) = (path for path in files if path.suffix == ".whl")
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        facts = archive.read(name).decode()
    for field in ("Author", "License-Expression", "Classifier", "Keywords", "Requires-Python"):
        assert f"\n{field}: " in facts, field
    if project != ".":
        assert "Requires-Dist: aigc-core<0.2,>=0.1" in facts
        assert "](.." not in facts, "a link that leads nowhere from a package index"

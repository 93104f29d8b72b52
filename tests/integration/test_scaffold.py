"""``aigc plugins new`` writes packages that work at once, and says what it cannot write."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import typer
from source_install import install_source
from typer.testing import CliRunner

from aigc_core import DatasetSpec, ModalitySpec, hookimpl
from aigc_core.cli.plugins_new import new
from aigc_core.errors import StorageError, UserError
from aigc_core.scaffold import brought_by_a_plugin, new_plugin
from aigc_core.testing import tmp_plugin

APP = typer.Typer()
APP.command()(new)

BOTH = {
    ".gitignore",
    "README.md",
    "pyproject.toml",
    "{package}/__init__.py",
    "{package}/config.py",
    "{package}/model.py",
    "{package}/py.typed",
    "tests/test_contract.py",
    "tests/test_model.py",
}
NEW_MODALITY = {"{package}/dataset.py", "{package}/modality.py", "tests/test_modality.py"}


def write(name: str, modality: str, *options: str) -> str:
    """Call the command; return what it prints. Errors come as they are."""
    done = CliRunner().invoke(APP, [name, "--modality", modality, *options])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def run(folder: Path, *command: str) -> None:
    """Run a command beside a plugin's folder, with the plugin installed."""
    site = folder.parent / "site"
    path = [site, folder] if site.exists() else install_source(folder, site)
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder.parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stderr, done.stderr


def test_a_new_modality_comes_with_a_dataset_and_a_recipe(tmp_path: Path) -> None:
    reported = write("soft-breeze", "scent")
    folder = tmp_path / "aigc-soft-breeze"
    files = {name.format(package="aigc_soft_breeze") for name in BOTH | NEW_MODALITY}
    assert {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} == files
    for name in files:
        assert f"aigc-soft-breeze/{name}\n" in reported
    commands = [line.strip() for line in reported.splitlines()[-3:]]
    assert commands == [
        "pip install -e aigc-soft-breeze",
        "aigc train scent/soft-breeze --preset tiny",
        "pytest aigc-soft-breeze",
    ]


def test_for_an_installed_modality_only_a_recipe_is_written(tmp_path: Path) -> None:
    write("small-net", "image", "--out", "some where/plugin")
    folder = tmp_path / "some where" / "plugin"
    files = {name.format(package="aigc_small_net") for name in BOTH}
    assert {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} == files
    assert '"aigc-image>=' in (folder / "pyproject.toml").read_text()
    assert 'dataset="digits"' in (folder / "aigc_small_net" / "__init__.py").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "modality"), [("soft-breeze", "scent"), ("small-net", "image")])
def test_what_is_written_trains_and_passes_its_own_tests(
    tmp_path: Path, name: str, modality: str
) -> None:
    write(name, modality)
    folder = tmp_path / f"aigc-{name}"
    run(folder, "aigc_core", "train", f"{modality}/{name}", "--preset", "tiny", "--steps", "2")
    run(folder, "pytest", "-q", folder.name)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "modality"), [("soft-breeze", "scent"), ("small-net", "image")])
def test_what_is_written_is_typed(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, name: str, modality: str
) -> None:
    write(name, modality)
    folder = tmp_path / f"aigc-{name}"
    cache = tmp_path_factory.getbasetemp() / "mypy"  # the second time it knows torch already
    options = ["--config-file", f"{folder}/pyproject.toml", "--cache-dir", str(cache)]
    run(folder, "mypy", "--strict", *options, str(folder))


@pytest.mark.parametrize("length", [1, 32])
@pytest.mark.parametrize("modality", ["new", "image"])
def test_what_is_written_is_tidy_however_long_its_names_are(
    tmp_path: Path, length: int, modality: str
) -> None:
    write("z" * length, "y" * length if modality == "new" else modality, "--out", "plugin")
    run(tmp_path / "plugin", "ruff", "check", "--no-cache", "plugin")
    run(tmp_path / "plugin", "ruff", "format", "--check", "--no-cache", "plugin")


@pytest.mark.parametrize("bad", ["Big", "with_underscore", "1st", "two words", "-x", "../x", ""])
def test_a_name_that_is_not_one_is_refused(tmp_path: Path, bad: str) -> None:
    for name, modality, what in ((bad, "scent", "NAME"), ("breeze", bad, "--modality")):
        with pytest.raises(UserError, match=f"{what} '{bad}' is not valid.*lower-case words"):
            new_plugin(name, modality, Path("plugin"), existing=False)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(UserError, match="is longer than 32 characters"):
        write("a" * 33, "scent")


@pytest.mark.parametrize(
    ("name", "modality", "message"),
    [
        ("image", "scent", r"The plugin 'image' \(aigc-image\) is already installed"),
        ("dcgan", "image", "The plugin 'image' already brings the recipe 'image/dcgan'"),
        ("core", "scent", "There is already a package aigc_core"),
        ("waves", "scent", "The registry already has a plugin aigc-waves"),
    ],
)
def test_a_name_that_is_taken_is_refused(name: str, modality: str, message: str) -> None:
    Path("registry.yaml").write_text(REGISTRY)
    with pytest.raises(UserError, match=f"{message}. Choose another NAME."):
        write(name, modality)
    assert not Path(f"aigc-{name}").exists()


REGISTRY = """
schema_version: 1
modalities: {song: {summary: Songs, plugin: aigc-waves}, taste: {summary: Tastes, plugin: null}}
plugins: {aigc-waves: {summary: Songs, modalities: [song]}}
"""


def test_a_modality_that_another_plugin_would_bring_is_not_made_anew() -> None:
    Path("registry.yaml").write_text(REGISTRY)
    with pytest.raises(UserError, match=r"'song' needs the plugin aigc-waves, .*not installed"):
        write("hits", "song")
    assert not Path("aigc-hits").exists()


def test_a_slot_of_the_registry_that_is_empty_can_be_filled() -> None:
    Path("registry.yaml").write_text(REGISTRY)
    assert not brought_by_a_plugin("taste")


def test_a_faulty_registry_is_in_nobodys_way() -> None:
    Path("registry.yaml").write_text("nonsense")
    assert "aigc-breeze" in write("breeze", "scent")


class Hooks:
    """A plugin that brings a modality, its code in the module ``toy_modality``."""

    def __init__(self, embedded: bool) -> None:
        self.embedded = embedded

    @hookimpl
    def aigc_register_modalities(self) -> list[ModalitySpec]:
        return [ModalitySpec(name="toy", summary="", code="toy_modality:Toy")]

    @hookimpl
    def aigc_register_datasets(self) -> list[DatasetSpec]:
        code = "toy_modality:Data"
        return [
            DatasetSpec(name="toys", modality="toy", summary="", code=code, embedded=self.embedded)
        ]


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the class of the modality declares; to be changed by a test."""
    declared = SimpleNamespace(sample_dtype=torch.float32, sample_range=(-1.0, 1.0))
    monkeypatch.setitem(sys.modules, "toy_modality", SimpleNamespace(Toy=declared))
    return declared


@pytest.mark.parametrize(
    ("sample_range", "output"),
    [
        ((-1.0, 1.0), "torch.tanh(values)"),
        ((0.0, 1.0), "torch.sigmoid(values)"),
        ((-2.0, 6.0), "-2.0 + 8.0 * torch.sigmoid(values)"),
        (None, "values"),
    ],
)
def test_the_generator_keeps_to_the_range_of_the_modality(
    toy: SimpleNamespace, sample_range: tuple[float, float] | None, output: str
) -> None:
    toy.sample_range = sample_range
    with tmp_plugin(Hooks(embedded=True), "toybox"):
        write("breeze", "toy")
    model = Path("aigc-breeze/aigc_breeze/model.py").read_text()
    assert f"return {output}\n" in model
    assert '"aigc-toybox"' in Path("aigc-breeze/pyproject.toml").read_text()


def test_networks_of_real_numbers_are_not_written_for_whole_ones(toy: SimpleNamespace) -> None:
    toy.sample_dtype = torch.int64
    with (
        tmp_plugin(Hooks(embedded=True), "toybox"),
        pytest.raises(UserError, match="'toy' are whole numbers"),
    ):
        write("breeze", "toy")


def test_without_an_embedded_dataset_that_is_said(toy: SimpleNamespace) -> None:
    with (
        tmp_plugin(Hooks(embedded=False), "toybox"),
        pytest.raises(UserError, match="No installed plugin brings an embedded dataset"),
    ):
        write("breeze", "toy")


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    Path("mine").mkdir()
    Path("mine/file").write_text("precious")
    with pytest.raises(UserError, match=r"mine is not an empty folder\. Choose another"):
        write("breeze", "scent", "--out", "mine")
    with pytest.raises(UserError, match="file is not an empty folder"):
        write("breeze", "scent", "--out", "mine/file")
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "file"]


def test_it_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text = Path.write_text

    def full_disk(path: Path, text: str, **options: str) -> int:
        if path.name == "model.py":
            raise OSError(28, "No space left on device")
        return write_text(path, text, **options)

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(StorageError, match="aigc-breeze: No space left on device"):
        write("breeze", "scent")
    assert list(tmp_path.iterdir()) == []

"""What pip is asked to do, and what is reported of how it ended."""

import os
import shlex
import signal
import sys
from pathlib import Path

import pytest
from fake_plugins import FakePlugins

from aigc_core.errors import PluginError, Terminated
from aigc_core.plugins import installer as module
from aigc_core.plugins.installer import (
    InstallError,
    Target,
    every_target,
    find_targets,
    install_command,
    run_installer,
    uninstall_command,
)

CATALOGUE = """
schema_version: 1
modalities:
  song: {summary: Songs, plugin: aigc-song}
  tune: {summary: Songs too, plugin: aigc-song}
  scent: {summary: Smells, plugin: null}
plugins:
  aigc-song: {summary: s, folder: plugins/song, modalities: [song]}
  aigc-far: {summary: s, folder: plugins/far}
  nearby: {summary: s}
"""
PIP = [sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "--no-input"]


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path) -> Path:
    """A catalogue, and the folder of one of its plugins."""
    (tmp_path / "registry.yaml").write_text(CATALOGUE)
    folder = tmp_path / "plugins" / "song"
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text("[project]\nname = 'Aigc_Song'\n")
    return tmp_path


def refused(name: str) -> str:
    with pytest.raises(PluginError) as caught:
        find_targets([name])
    message = str(caught.value)
    assert "\n" not in message
    return message


# What a name stands for


@pytest.mark.parametrize("name", ["aigc-song", "song", "Aigc_Song", "tune"])
def test_a_plugin_of_the_checkout_is_installed_from_its_folder(checkout: Path, name: str) -> None:
    folder, registry = checkout / "plugins" / "song", checkout / "registry.yaml"
    assert find_targets([name]) == [Target(str(folder), "aigc-song", True, registry)]


@pytest.mark.parametrize(
    ("name", "distribution"),
    [("far", "aigc-far"), ("nearby", "nearby"), ("aigc.far", "aigc-far")],
)
def test_a_plugin_whose_folder_is_not_here_is_asked_of_the_index(
    checkout: Path, name: str, distribution: str
) -> None:
    registry = checkout / "registry.yaml"
    assert find_targets([name]) == [Target(distribution, distribution, registry=registry)]


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("aigc-song==1.0", "aigc-song==1.0"),
        ("song==1.0", "aigc-song==1.0"),
        (" Song >= 1, <2", "aigc-song<2,>=1"),
        ("tune~=1.0", "aigc-song~=1.0"),
        ("song; python_version > '3'", 'aigc-song; python_version > "3"'),
        ("far[fast]>=1", "aigc-far[fast]>=1"),
        ("song[fast]", "{0}/plugins/song[fast]"),
    ],
)
def test_a_requirement_of_a_plugin_is_one_of_the_registry_s_name(
    checkout: Path, name: str, argument: str
) -> None:
    """Whoever took the short name in the index is somebody else."""
    (target,) = find_targets([name])
    assert target.argument == argument.format(checkout)
    assert target.distribution in ("aigc-song", "aigc-far")
    assert target.is_folder == argument.startswith("{0}")


def test_the_core_s_own_registry_needs_no_mention(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / "registry.yaml").unlink()
    assert find_targets(["image"])[0].registry is None
    monkeypatch.chdir(Path(module.__file__).parents[2])
    assert find_targets(["image"])[0].registry is None


def test_all_of_the_catalogue(checkout: Path) -> None:
    assert [target.distribution for target in every_target()] == ["aigc-song", "aigc-far", "nearby"]


@pytest.mark.parametrize("name", ["./plugins/song", "plugins/song/", "../{0}/plugins/song"])
def test_a_folder_is_a_package_of_the_name_in_its_file(checkout: Path, name: str) -> None:
    (target,) = find_targets([name.format(checkout.name)])
    assert (target.distribution, target.is_folder) == ("aigc-song", True)
    assert Path(target.argument).samefile(checkout / "plugins" / "song")


@pytest.mark.parametrize(
    "text",
    ["", "project = 5", "[project]\n", "[project]\nname = 5", "[build-system]", "[[project]]"],
)
def test_a_folder_that_does_not_say_its_name_is_left_to_pip(checkout: Path, text: str) -> None:
    (checkout / "plugins/song/pyproject.toml").write_text(text)
    (target,) = find_targets(["./plugins/song"])
    assert target.distribution is None


@pytest.mark.parametrize(
    ("file", "distribution"),
    [
        ("aigc_song-1.0-py3-none-any.whl", "aigc-song"),
        ("Aigc_Song-1.0-py3-none-any.whl", "aigc-song"),
        ("./aigc_song-1.0.tar.gz", "aigc-song"),
        ("./aigc-song-1.0.tar.gz", "aigc-song"),
        ("aigc-song-1.0.tar.gz", "aigc-song"),
        ("song.zip", None),
        ("./song.zip", None),
        ("./nonsense.whl", None),
    ],
)
def test_a_file_is_of_the_distribution_in_its_name(
    checkout: Path, file: str, distribution: str | None
) -> None:
    Path(file).write_text("")
    assert find_targets([file]) == [Target(str(Path(file).absolute()), distribution)]


@pytest.mark.parametrize(
    ("name", "distribution"),
    [
        ("other-plugin", "other-plugin"),
        ("aigc-points", "aigc-points"),
        ("requests", "requests"),
        ("song @ https://example.org/song.zip", "song"),
        ("aigc-sogn @ https://example.org/sogn.zip", "aigc-sogn"),
        ("Other[fast] ~= 1.0", "other"),
        ("other @ https://example.org/other-1.0.zip", "other"),
    ],
)
def test_a_requirement_is_passed_on(name: str, distribution: str) -> None:
    assert find_targets([name]) == [Target(name, distribution)]


@pytest.mark.parametrize(
    ("name", "reported"),
    [
        ("aigc-sogn", "The registry has no plugin 'aigc-sogn'. Did you mean 'aigc-song'? If not,"),
        ("sogn", "Did you mean 'aigc-song'? If not, install it with: pip install sogn"),
        ("scant", "The registry has no plugin 'scant'. Did you mean 'scent'?"),
        ("nearbye", "Did you mean 'nearby'?"),
        ("aigc-sogn>=2", "Did you mean 'aigc-song'? If not, install it with: pip install 'aigc"),
        ("sogn[fast]", "Did you mean 'aigc-song'?"),
        ("scent==1", "No plugin of the registry brings the modality 'scent' yet."),
        ("missing-1.0.tar.gz", "There is no file or folder missing-1.0.tar.gz."),
        (
            "scent",
            "No plugin of the registry brings the modality 'scent' yet. Begin one with: aigc",
        ),
        ("./missing", "There is no file or folder ./missing."),
        ("missing.whl", "There is no file or folder missing.whl."),
        ("~/missing", "There is no file or folder ~/missing."),
        ("~nobody-of-that-name/x", "There is no file or folder ~nobody-of-that-name/x."),
        ("./" + "x" * 5000, "There is no file or folder ./xxx"),
        (".", "The folder . has no pyproject.toml, so it is no package."),
        (
            "--index-url=x",
            "'--index-url=x' is no plugin of the registry, no path and no requirement",
        ),
        ("-r", "'-r' is no plugin of the registry, no path and no requirement of pip's: "),
        ("", "'' is no plugin of the registry, no path and no requirement of pip's: "),
        ("a b", "'a b' is no plugin"),
        ("https://example.org/x.zip", "'https://example.org/x.zip' is no plugin of the registry"),
    ],
)
def test_what_stands_for_nothing_is_refused(name: str, reported: str) -> None:
    assert reported in refused(name)


def test_a_folder_with_a_damaged_file_is_refused(checkout: Path) -> None:
    (checkout / "plugins/song/pyproject.toml").write_text("[[[")
    assert "pyproject.toml cannot be read" in refused("./plugins/song")
    (checkout / "plugins/song/pyproject.toml").write_bytes(b"\xff")
    assert "pyproject.toml cannot be read" in refused("./plugins/song")


# Commands


def test_pip_of_this_python_is_called(checkout: Path) -> None:
    song = find_targets(["song"])
    folder = str(checkout / "plugins" / "song")
    assert install_command(song) == [*PIP, "install", folder]
    assert install_command(song, editable=True) == [*PIP, "install", "-e", folder]
    assert install_command([Target("other", "other")], editable=True) == [*PIP, "install", "other"]


def test_plugins_of_a_checkout_are_installed_under_its_constraints(checkout: Path) -> None:
    (checkout / "constraints.txt").write_text("numpy<3\n")
    command = install_command(find_targets(["song", "other"]))
    assert command[:9] == [*PIP, "install", "-c", str(checkout / "constraints.txt")]
    assert "-c" not in install_command(find_targets(["other"]))


def test_uninstalling_names_distributions_and_asks_nothing(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes = FakePlugins(checkout / "installed")
    fakes.add("twin", distribution="dist-a", module="a")
    fakes.add("twin", distribution="dist-b", module="b")
    monkeypatch.syspath_prepend(fakes.folder)
    command, distributions = uninstall_command(["image", "Aigc_Image", "dist-a"])
    assert command == [*PIP, "uninstall", "--yes", "aigc-image", "dist-a"]
    assert distributions == ["aigc-image", "dist-a"]
    for name, reported in {
        "twin": "Several distributions bring a plugin 'twin': dist-a, dist-b. Name one of them.",
        "imge": "The plugin 'imge' is not installed. Did you mean 'image'?",
        "": "The plugin '' is not installed.",
        "aigc-core": "aigc-core is no plugin. Remove it with: pip uninstall aigc-core",
    }.items():
        with pytest.raises(PluginError) as caught:
            uninstall_command([name])
        assert str(caught.value).startswith(reported)


@pytest.mark.parametrize("text", [None, "", "Name: --all\n", "Name: a; touch x\n"])
def test_what_has_damaged_metadata_is_to_be_removed_by_hand(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    """pip, given the entry point's name, would remove a distribution of that name."""
    fakes = FakePlugins(checkout / "my plugins")
    files = {"entry_points.txt": "[aigc.plugins]\nrequests = x\n"}
    info = fakes.dist_info("x", "1", files if text is None else {**files, "METADATA": text})
    monkeypatch.syspath_prepend(fakes.folder)
    with pytest.raises(PluginError) as caught:
        uninstall_command(["requests"])
    assert str(caught.value) == (
        "pip cannot remove the plugin 'requests': its metadata is damaged and does not say which "
        f"distribution it is of. To remove it, remove the folder {shlex.quote(str(info))}."
    )
    fakes.add("requests", distribution="other", module="y")
    with pytest.raises(PluginError, match=r"'requests': one with damaged metadata in .*, other"):
        uninstall_command(["requests"])
    assert uninstall_command(["other"])[1] == ["other"]


@pytest.fixture
def without_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)


def test_without_pip_uv_is_called(without_pip: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """``uv pip`` takes ``--python`` after its own command only."""
    monkeypatch.setattr(module.shutil, "which", lambda name: "/usr/bin/uv")
    python = ["--python", sys.executable]
    assert install_command([Target("other", None)]) == ["uv", "pip", "install", *python, "other"]
    assert uninstall_command(["image"])[0] == ["uv", "pip", "uninstall", *python, "aigc-image"]


def test_with_neither_it_says_how_to_get_pip(
    without_pip: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    monkeypatch.setattr(sys, "executable", "/my env/bin/python")
    with pytest.raises(PluginError) as caught:
        install_command([Target("other", None)])
    assert str(caught.value) == (
        "/my env/bin/python has no pip, and there is no uv. "
        "Get pip with: '/my env/bin/python' -m ensurepip"
    )


# How it ended


def run(code: str) -> list[str]:
    said: list[str] = []
    run_installer([sys.executable, "-c", code], said.append)
    return said


def test_what_pip_says_is_passed_on_line_by_line() -> None:
    assert run("import sys; print('one'); print('two', file=sys.stderr)") in (
        ["one", "two"],
        ["two", "one"],
    )


def test_what_is_no_text_is_passed_on_all_the_same() -> None:
    assert run(r"import os; os.write(1, b'\xff\n')") == ["\ufffd"]


def test_pip_is_asked_nothing() -> None:
    """Where it asked, there would be no answer, and no end."""
    assert run("import sys; print(repr(sys.stdin.read()))") == ["''"]


@pytest.mark.parametrize(
    ("said", "reported"),
    [
        ("ERROR: no such thing", "exit code 3: ERROR: no such thing ("),
        ("error: in uv's words", "exit code 3: error: in uv's words ("),
        ("much\nERROR: first\nmore\nERROR: second", "3: ERROR: first ERROR: second ("),
        ("a\nb\nc\nd", "exit code 3: b c d ("),
    ],
)
def test_a_failure_repeats_pip_s_errors_and_says_that_nothing_changed(
    said: str, reported: str
) -> None:
    with pytest.raises(InstallError) as caught:
        run(f"print({said!r}); raise SystemExit(3)")
    assert str(caught.value).startswith("pip failed with ")
    assert reported in str(caught.value)
    assert str(caught.value).endswith("(The plugins of this environment are as they were.)")


def test_a_failure_that_changed_plugins_says_so(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = FakePlugins(checkout / "installed").add("half")
    monkeypatch.syspath_prepend(checkout / "installed")
    with pytest.raises(InstallError, match="CHANGED: see aigc plugins list"):
        run(f"import shutil; shutil.rmtree({str(info)!r}); raise SystemExit(1)")


def test_a_program_that_does_not_start_is_reported() -> None:
    with pytest.raises(InstallError, match="/nowhere/pip could not be run: "):
        run_installer(["/nowhere/pip"], print)


def test_pip_s_colours_stay_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would be shown as escapes."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert run("import os; print('FORCE_COLOR' in os.environ)") == ["False"]


PATIENT = """
import signal, time
def stop(number, frame):
    print("rolling back", flush=True)
    time.sleep(0.5)
    print("rolled back", flush=True)
    raise SystemExit(1)
signal.signal(signal.SIGINT, stop)
print("begins", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("stop", [KeyboardInterrupt, Terminated])
def test_an_interruption_lets_pip_end_and_tells_what_came_of_it(
    stop: type[BaseException],
) -> None:
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if line == "begins":
            raise stop

    with pytest.raises(stop):
        run_installer([sys.executable, "-c", PATIENT], say)
    assert said[2:] == [
        "rolling back",
        "rolled back",
        "pip was interrupted. The plugins of this environment are as they were.",
    ]


def test_a_second_interruption_kills_a_pip_that_does_not_end() -> None:
    code = "import os, signal, time\nsignal.signal(signal.SIGINT, lambda *_: print('no', flush=1))"
    code += "\nprint(os.getpid(), flush=True)\nwhile True: time.sleep(1)"
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if line == "no" or line.isdigit():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_installer([sys.executable, "-c", code], say)
    assert said[-1].startswith("pip was interrupted.")
    with pytest.raises(ProcessLookupError):
        os.kill(int(said[0]), signal.SIG_DFL)

"""``aigc plugins …``, ``aigc modalities``: what is there, what is not, and changes to that."""

import json
import signal
from pathlib import Path

import pytest
from fake_plugins import RECIPE, FakePlugins

CATALOGUE = """\
# mine, and it stays as it is
schema_version: 1
modalities:
  image: {{summary: Pictures, plugin: aigc-image}}
  song: {{summary: Songs, plugin: aigc-song}}
  {slot}: {{summary: Smells, plugin: null}}
plugins:
  aigc-image: {{summary: i, modalities: [image]}}
  aigc-song: {{summary: s, modalities: [song], recipes: [song/net]}}
"""


def write_catalogue(path: Path, slot: str = "scent") -> Path:
    path.write_text(CATALOGUE.format(slot=slot))
    return path


def rows(done) -> dict[str, dict]:
    assert done.code == 0, done
    return {row["plugin"] or row["distribution"]: row for row in json.loads(done.out)}


def modalities(aigc, *arguments: object) -> dict[str, dict]:
    done = aigc("modalities", "--json", *arguments)
    return {row["modality"]: row for row in json.loads(done.out)}


# Looking


def test_the_listing_says_what_is_installed_and_what_could_be(aigc) -> None:
    write_catalogue(Path("registry.yaml"))
    listed = rows(aigc("plugins", "list", "--json"))
    image, song = listed["image"], listed["aigc-song"]
    assert set(image) == set(song)
    assert (image["status"], image["fix"], image["error"]) == ("active", None, None)
    assert "image/dcgan" in image["recipes"]
    assert {"aigc_register_recipes", "aigc_register_modalities"} <= set(image["hooks"])
    assert image["location"]
    assert (song["plugin"], song["status"]) == (None, "not installed")
    assert (song["recipes"], song["fix"]) == (["song/net"], "aigc plugins install aigc-song")


def test_the_table_is_for_people(aigc, monkeypatch: pytest.MonkeyPatch) -> None:
    write_catalogue(Path("registry.yaml"))
    monkeypatch.setenv("AIGC_PLUGINS", "image")
    done = aigc("plugins", "list")
    assert (done.code, done.err) == (0, "")
    lines = [line.split() for line in done.out.splitlines()]
    assert lines[0] == ["plugin", "status", "distribution", "version", "modalities", "recipes"]
    assert ["image", "active", "aigc-image"] in [line[:3] for line in lines]
    assert ["–", "not", "installed", "aigc-song"] in [line[:4] for line in lines]


@pytest.mark.parametrize("name", ["image", "aigc-image", "Aigc_Image"])
def test_all_that_is_known_of_one_plugin_is_shown(aigc, name: str) -> None:
    done = aigc("plugins", "info", name)
    assert done.code == 0
    assert "plugin: image" in done.out
    assert "status: active" in done.out
    assert "recipes: image/dcgan" in done.out


def test_info_can_be_read_by_a_program(aigc) -> None:
    assert json.loads(aigc("plugins", "info", "image", "--json").out)["module"] == "aigc_image"


def test_info_knows_the_catalogue_and_the_nearest_name(aigc) -> None:
    write_catalogue(Path("registry.yaml"))
    assert "status: not installed" in aigc("plugins", "info", "aigc-song").out
    done = aigc("plugins", "info", "aigc-sogn")
    assert done.code == 2
    assert "There is no plugin 'aigc-sogn'. Did you mean 'aigc-song'?" in done.err


def test_info_tells_what_is_wrong_and_what_mends_it(fake_plugins: FakePlugins) -> None:
    fake_plugins.add("bad", "1 / 0")
    done = fake_plugins.aigc("plugins", "info", "bad")
    assert done.code == 0
    assert "error: Importing fake_bad failed: ZeroDivisionError: division by zero" in done.out
    assert "fix: aigc plugins disable bad" in done.out


def test_modalities_are_those_of_plugins_and_the_empty_slots(aigc) -> None:
    write_catalogue(Path("registry.yaml"))
    listed = modalities(aigc)
    assert (listed["image"]["status"], listed["image"]["plugin"]) == ("active", "image")
    assert listed["song"]["status"].endswith("aigc plugins install aigc-song")
    assert listed["scent"]["status"].endswith("aigc plugins new NAME --modality scent")
    assert listed["scent"]["plugin"] is None


def test_a_slot_whose_plugin_is_installed_and_idle_is_not_said_to_be_missing(aigc) -> None:
    aigc("plugins", "disable", "image")
    assert modalities(aigc)["image"]["status"] == "disabled, see: aigc plugins info aigc-image"


def test_this_project_s_own_plugin_loads_strictly(fake_plugins: FakePlugins) -> None:
    """Without a warning, that is; AIGC_STRICT of the outside does not reach other tests."""
    done = fake_plugins.aigc("recipes", "--strict", AIGC_PLUGINS="image")
    assert (done.code, done.err) == (0, "")


# Which registry


def test_of_four_registries_the_nearest_to_the_command_counts(
    aigc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    packaged = set(modalities(aigc))
    assert {"image", "audio", "text"} <= packaged

    def slots(*arguments: object) -> set[str]:
        return set(modalities(aigc, *arguments)) - packaged - {"song"}

    monkeypatch.setenv("AIGC_REGISTRY", str(write_catalogue(tmp_path / "variable.yaml", "wind")))
    assert slots() == {"wind"}
    write_catalogue(Path("registry.yaml"), "rain")
    assert slots() == {"rain"}
    named = write_catalogue(tmp_path / "named.yaml", "snow")
    assert slots("--registry", named) == slots(f"--registry={named}") == {"snow"}


@pytest.mark.parametrize(
    ("arguments", "reported"),
    [
        (("--registry", "missing.yaml", "modalities"), "--registry names missing.yaml, which is"),
        (("modalities", "--registry"), "--registry needs the path of a registry.yaml."),
        (("plugins", "list", "--registry=."), "--registry names ., which is not a file."),
        (("modalities", "--registry=~nobody-of-that-name/x"), "which is not a file"),
        (("plugins", "list", "--no-plugins="), "--no-plugins= names no plugin. Leave the = out"),
        (("plugins", "list", "--no-plugins=imge"), "'imge', which is no installed plugin. Did"),
        (("recipes", "--no-plugins=imge"), "'imge', which is no installed plugin. Did you mean"),
    ],
)
def test_a_wrong_option_is_reported(aigc, arguments: tuple[str, ...], reported: str) -> None:
    done = aigc(*arguments)
    assert (done.code, done.out) == (2, "")
    assert reported in done.err


# Switching off and on


def test_enable_and_disable_tell_what_they_did(aigc) -> None:
    assert aigc("plugins", "enable", "image").out == "image was enabled already.\n"
    assert aigc("plugins", "disable", "image").out == (
        "image is disabled. Again: aigc plugins enable image\n"
    )
    assert aigc("plugins", "disable", "Aigc_Image").out == "image was disabled already.\n"
    assert "image/dcgan" not in aigc("recipes").out
    assert rows(aigc("plugins", "list", "--json"))["image"]["status"] == "disabled"
    assert aigc("plugins", "enable", "image").out == "image is enabled.\n"
    assert "image/dcgan" in aigc("recipes").out


@pytest.mark.parametrize("noted", ["image", "aigc-image", "Aigc_Image"])
@pytest.mark.parametrize("name", ["image", "aigc-image"])
def test_a_plugin_is_enabled_however_the_file_calls_it(
    aigc, tmp_path: Path, noted: str, name: str
) -> None:
    """The file may have been written by hand."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "plugins.yaml").write_text(f"disabled: [{noted}]\n")
    assert "image/dcgan" not in aigc("recipes").out
    assert "is enabled." in aigc("plugins", "enable", name).out
    assert "image/dcgan" in aigc("recipes").out


def test_one_that_is_gone_can_be_taken_off_the_list(aigc, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "plugins.yaml").write_text("disabled: [gone]\n")
    done = aigc("plugins", "enable", "goen")
    assert done.code == 2
    assert "The plugin 'goen' is not installed. Did you mean 'gone'?" in done.err
    assert aigc("plugins", "enable", "gone").out == "gone is enabled.\n"


@pytest.mark.parametrize("command", ["enable", "disable", "uninstall"])
def test_a_name_that_nothing_has_gets_the_nearest(aigc, command: str) -> None:
    done = aigc("plugins", command, "imge")
    assert (done.code, done.out) == (2, "")
    assert "The plugin 'imge' is not installed. Did you mean 'image'?" in done.err


def test_the_registry_is_not_written(aigc) -> None:
    before = write_catalogue(Path("registry.yaml")).read_bytes()
    aigc("plugins", "disable", "image")
    aigc("plugins", "enable", "image")
    assert Path("registry.yaml").read_bytes() == before


def test_a_file_of_the_user_s_that_cannot_be_written_ends_with_1(aigc, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("no folder")
    done = aigc("plugins", "disable", "image")
    assert done.code == 1
    assert "Could not write" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "command", [("recipes",), ("plugins", "list"), ("plugins", "disable", "image")]
)
def test_a_malformed_file_of_the_user_s_ends_every_command_with_its_path(
    aigc, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "plugins.yaml").write_text("- image")
    done = aigc(*command)
    assert done.code == 2
    assert f"{tmp_path / 'config' / 'plugins.yaml'}: expected 'disabled' with a list" in done.err


def test_two_plugins_of_one_name_are_reported_apart_by_their_distributions(
    fake_plugins: FakePlugins,
) -> None:
    for letter in "ab":
        code, module = RECIPE.format(letter), f"fake_{letter}"
        fake_plugins.add("twin", code, distribution=f"d-{letter}", module=module)
    done = fake_plugins.aigc("plugins", "disable", "twin")
    assert done.code == 2
    assert "Several distributions bring 'twin': d-a, d-b. Name one of them." in done.err
    assert fake_plugins.aigc("plugins", "disable", "d-a").code == 0
    done = fake_plugins.aigc("recipes")
    assert ("b/net" in done.out, "a/net" in done.out, done.err) == (True, False, "")
    assert fake_plugins.aigc("plugins", "enable", "d-a").code == 0


# Installing


@pytest.mark.parametrize(
    ("name", "reported"),
    [
        ("aigc-sogn", "The registry has no plugin 'aigc-sogn'. Did you mean 'aigc-song'?"),
        ("scent", "No plugin of the registry brings the modality 'scent' yet."),
        ("./missing", "There is no file or folder ./missing."),
        ("missing.whl", "There is no file or folder missing.whl."),
        ("~nobody-of-that-name/x", "There is no file or folder ~nobody-of-that-name/x."),
        (".", "has no pyproject.toml, so it is no package."),
        ("a b", "'a b' is no plugin of the registry, no path and no requirement of pip's"),
    ],
)
def test_what_cannot_be_installed_is_refused_before_pip_is_called(
    aigc, name: str, reported: str
) -> None:
    write_catalogue(Path("registry.yaml"))
    done = aigc("plugins", "install", name)
    assert (done.code, done.out) == (2, "")
    assert reported in " ".join(done.err.split())
    assert "$" not in done.err


@pytest.mark.parametrize("arguments", [(), ("song", "--all")])
def test_names_or_all_but_not_both(aigc, arguments: tuple[str, ...]) -> None:
    done = aigc("plugins", "install", *arguments)
    assert done.code == 2
    assert "Name what to install, or give --all for every plugin of the registry." in done.err


def test_all_of_an_empty_registry_is_reported(aigc) -> None:
    Path("registry.yaml").write_text("schema_version: 1\nmodalities: {}\nplugins: {}\n")
    assert "The registry has no plugin." in aigc("plugins", "install", "--all").err


INSTALLS = """
import os, sys
print("Collecting", sys.argv[-1])
info = HERE + "/aigc_song-2.0.dist-info/"
os.makedirs(info)
with open(info + "METADATA", "w") as file:
    file.write("Name: aigc-song\\nVersion: 2.0\\n")
with open(info + "entry_points.txt", "w") as file:
    file.write("[aigc.plugins]\\nsong = fake_song\\n[aigc.api]\\n2 = fake_song\\n")
"""


@pytest.fixture
def pip(fake_plugins: FakePlugins):
    """Put code in pip's place: it sees the folder of plugins as HERE."""
    write_catalogue(Path("registry.yaml"))

    def stand_in(code: str) -> FakePlugins:
        fake_plugins.add_pip(f"HERE = {str(fake_plugins.folder)!r}\n{code}")
        return fake_plugins

    return stand_in


def test_what_was_installed_is_shown_with_what_it_brings(pip) -> None:
    plugins = pip(INSTALLS)
    (plugins.folder / "fake_song.py").write_text(RECIPE.format("song"))
    done = plugins.aigc("plugins", "install", "song")
    assert (done.code, done.out) == (
        0,
        "song (aigc-song 2.0): active. It brings modalities: song; datasets: song-data; "
        "recipes: song/net.\n",
    )
    source, command, said = done.err.splitlines()
    assert source == f"aigc-song, as {Path('registry.yaml').absolute()} says"
    assert command.startswith("$ ")
    assert command.endswith("-P -m pip --disable-pip-version-check --no-input install aigc-song")
    assert said == "  Collecting aigc-song"


def test_what_was_installed_and_is_broken_ends_with_1_and_the_way_out(pip) -> None:
    plugins = pip(INSTALLS)
    (plugins.folder / "fake_song.py").write_text("import os; os._exit(0)")
    done = plugins.aigc("plugins", "install", "song")
    assert done.code == 1
    assert done.out == (
        "song (aigc-song 2.0): error. Importing it ended the whole process, with exit code 0. "
        "To fix it: aigc plugins disable song\n"
    )


def test_what_was_installed_and_is_no_plugin_is_reported(pip) -> None:
    done = pip("").aigc("plugins", "install", "some-library")
    assert done.code == 2
    assert "Error: some-library was installed, and brings no plugin of aigc." in done.err


def test_a_pip_in_the_current_folder_is_not_run(pip) -> None:
    plugins = pip("print('pip itself')")
    Path("pip.py").write_text("print('somebody else')")
    done = plugins.aigc("plugins", "install", "some-library")
    assert "  pip itself" in done.err
    assert "somebody else" not in done.err


FROM_A_FOLDER = """
import json, os, pathlib, sys
info = HERE + "/aigc_song-2.0.dist-info/"
os.makedirs(info, exist_ok=True)
with open(info + "METADATA", "w") as file:
    file.write("Name: aigc-song\\nVersion: 2.0\\n")
with open(info + "entry_points.txt", "w") as file:
    file.write("[aigc.plugins]\\nsong = fake_song\\n[aigc.api]\\n2 = fake_song\\n")
with open(info + "direct_url.json", "w") as file:
    json.dump({"url": pathlib.Path(sys.argv[-1]).as_uri(), "dir_info": {}}, file)
"""


def test_what_is_installed_again_is_shown_again_whatever_it_is_called(pip) -> None:
    """A folder with a setup.py alone does not say its name, and the version is the same."""
    plugins = pip(FROM_A_FOLDER)
    (plugins.folder / "fake_song.py").write_text(RECIPE.format("song"))
    Path("my song").mkdir()
    Path("my song/pyproject.toml").write_text("[build-system]\n")
    for _ in range(2):
        done = plugins.aigc("plugins", "install", "./my song")
        assert (done.code, done.out.split(".")[0]) == (0, "song (aigc-song 2")


def test_a_file_that_was_installed_already_is_not_said_to_bring_nothing(pip) -> None:
    Path("song.zip").write_text("")
    done = pip("print('already satisfied')").aigc("plugins", "install", "song.zip")
    assert done.code == 2
    assert "song.zip was installed already, nothing changed; or it brings no" in done.err


HANGS = """
import signal, shutil, time
def stop(number, frame):
    print("rolling back", flush=True)
    time.sleep(0.5)
    CHANGE
    print("rolled back", flush=True)
    raise SystemExit(1)
signal.signal(signal.SIGINT, stop)
print("begins", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("number", "code", "change", "state"),
    [
        (signal.SIGINT, 130, "", "are as they were."),
        (signal.SIGTERM, 143, "shutil.rmtree(HERE + '/aigc_old-1.0.dist-info')", "CHANGED: see"),
    ],
)
def test_a_signal_lets_pip_end_and_tells_what_came_of_it(
    pip, number: signal.Signals, code: int, change: str, state: str
) -> None:
    plugins = pip(HANGS.replace("CHANGE", change))
    plugins.add("old")
    done = plugins.aigc_and_signal(number, "begins", "plugins", "install", "song")
    assert done.code == code
    lines = done.err.splitlines()
    end = lines.index("  rolled back")
    assert lines[end - 1] == "  rolling back"
    assert f"pip was interrupted. The plugins of this environment {state}" in lines[end + 1]
    assert "Traceback" not in done.err


def test_what_a_terminal_would_obey_is_shown(pip) -> None:
    normal = "über 你好\u3000！ 👩\u200d🎨 [bold]x"
    plugins = pip(rf"print('\x1b[2J\x9b2J {normal}')")
    text = "Name: aigc-red\nVersion: 1\x1b[31m\n"
    files = {"METADATA": text, "entry_points.txt": "[aigc.plugins]\nr\x1b[31med = fake_red\n"}
    plugins.dist_info("aigc-red", "1", files)
    done = plugins.aigc("plugins", "install", "some-library")
    assert rf"  \x1b[2J\x9b2J {normal}" in done.err
    listed = plugins.aigc("plugins", "list")
    info = plugins.aigc("plugins", "info", "aigc-red")
    for shown in (listed.out, listed.err, info.out):
        assert "\x1b" not in shown
    assert r"r\x1b[31med" in listed.out
    assert r"version: 1\x1b[31m" in info.out


FAILS = 'print("much"); print("ERROR: No matching distribution found for aigc-song"); exit(1)'


def test_when_pip_fails_its_error_is_repeated_and_nothing_changed(pip) -> None:
    plugins = pip(FAILS)
    plugins.add("old", RECIPE.format("old"))
    before = plugins.aigc("plugins", "list", "--json").out
    done = plugins.aigc("plugins", "install", "song")
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines()[-1] == (
        "Error: pip failed with exit code 1: ERROR: No matching distribution found for aigc-song "
        "(The plugins of this environment are as they were.)"
    )
    assert plugins.aigc("plugins", "list", "--json").out == before


# Removing

REMOVES = """
import glob, shutil, sys
for folder in glob.glob(HERE + "/*.dist-info"):
    if any(folder.split("/")[-1].startswith(n.replace("-", "_")) for n in sys.argv[1:]):
        shutil.rmtree(folder)
"""


def test_a_broken_plugin_can_be_removed(pip) -> None:
    plugins = pip(REMOVES)
    plugins.add("bad", "1 / 0")
    plugins.add("good", RECIPE.format("good"))
    done = plugins.aigc("plugins", "uninstall", "bad")
    assert (done.code, done.out) == (0, "Removed: aigc-bad.\n")
    assert done.err.endswith("uninstall --yes aigc-bad\n")
    listed = rows(plugins.aigc("plugins", "list", "--json"))
    assert "bad" not in listed
    assert listed["good"]["status"] == "active"


def test_what_pip_does_not_remove_is_not_said_to_be_removed(pip) -> None:
    """pip skips what has no METADATA "as it is not installed", and ends with 0."""
    plugins = pip('print("WARNING: Skipping old as it is not installed.")')
    info = plugins.add("old")
    done = plugins.aigc("plugins", "uninstall", "old")
    assert (done.code, done.out) == (2, "")
    assert f"metadata of aigc-old is still found: {info}. Remove it by hand." in done.err


def test_pip_is_not_asked_to_remove_what_does_not_say_its_name(pip) -> None:
    plugins = pip("print('pip was called')")
    info = plugins.dist_info("x", "1", {"entry_points.txt": "[aigc.plugins]\nrequests = x\n"})
    done = plugins.aigc("plugins", "uninstall", "requests")
    assert (done.code, done.out) == (2, "")
    assert "pip was called" not in done.err
    assert "its metadata is damaged" in done.err
    assert f"remove the folder {info}" in done.err
    listed = rows(plugins.aigc("plugins", "list", "--json"))
    assert listed["requests"]["metadata_path"] == str(info)


ONE_AT_A_TIME = """
import glob, shutil
shutil.rmtree(sorted(glob.glob(HERE + "/aigc_old-*.dist-info"))[-1])
"""


def test_of_versions_over_one_another_all_are_removed(pip) -> None:
    """pip removes one of them, and when it installs again that is the one it has just installed."""
    plugins = pip(ONE_AT_A_TIME)
    for version in ("0.9", "1.0"):
        plugins.add("old", version=version)
    assert rows(plugins.aigc("plugins", "list", "--json"))["old"]["status"] == "error"
    done = plugins.aigc("plugins", "uninstall", "old")
    assert (done.code, done.out) == (0, "Removed: aigc-old.\n")
    assert done.err.count("$ ") == 2


def test_when_pip_fails_to_remove_that_is_reported(pip) -> None:
    plugins = pip('print("error: uninstall-no-record-file"); exit(1)')
    plugins.add("old")
    done = plugins.aigc("plugins", "uninstall", "old")
    assert done.code == 1
    assert "pip failed with exit code 1: error: uninstall-no-record-file (The plu" in done.err


@pytest.mark.parametrize("name", ["aigc-core", "Aigc_Core"])
def test_the_core_is_no_plugin(aigc, name: str) -> None:
    done = aigc("plugins", "uninstall", name)
    assert done.code == 2
    assert "aigc-core is no plugin. Remove it with: pip uninstall aigc-core" in done.err


# Many


def test_a_hundred_plugins_are_listed_quickly(fake_plugins: FakePlugins) -> None:
    """Measured by hand on two cores that others used: 0.7 s, of which 0.5 without any of them."""
    for number in range(100):
        fake_plugins.add(f"p{number}", RECIPE.format(f"p{number}"))
    done = fake_plugins.aigc("plugins", "list")
    assert (done.code, done.err) == (0, "")
    assert len([line for line in done.out.splitlines() if " active " in line]) > 100
    assert done.seconds < 5


def test_a_command_of_a_plugin_that_is_not_there_says_which_one_to_install(
    aigc,
) -> None:
    catalogue = CATALOGUE.format(slot="scent").replace(
        "[song/net]}", "[song/net], commands: [sing]}"
    )
    Path("registry.yaml").write_text(catalogue)
    done = aigc("sing", "loudly")
    assert done.code == 2
    assert "The command 'sing' needs the plugin aigc-song, which is not installed." in done.err
    assert "aigc plugins install aigc-song" in done.err
    assert "No such command 'sin'" in aigc("sin").err
    Path("registry.yaml").write_text("not: [a catalogue")
    assert "No such command 'sing'" in aigc("sing").err


def test_a_command_of_a_plugin_that_is_switched_off_says_so(
    aigc, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("aigc_serve")
    monkeypatch.setenv("AIGC_PLUGINS", "image")
    done = aigc("serve", "run")
    assert done.code == 2
    assert "The command 'serve' needs the plugin 'serve', which is disabled." in done.err

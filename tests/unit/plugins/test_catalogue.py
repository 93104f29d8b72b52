"""``registry.yaml`` is checked strictly, holds names only, and is true of this repository."""

import importlib.metadata
from pathlib import Path

import pytest

from aigc_core.errors import ConfigError
from aigc_core.plugins import HostOptions, get_host, load_catalogue, use_options
from aigc_core.plugins.catalogue import find_catalogue

REPOSITORY = Path(__file__).parents[3]
OWN = REPOSITORY / "registry.yaml"

VALID = """\
schema_version: 1
modalities:
  song: {summary: Songs, plugin: aigc-song}
  scent: {summary: Smells, plugin: null}
plugins:
  aigc-song:
    summary: Songs
    folder: plugins/song
    modalities: [song]
    datasets: [hits]
    recipes: [song/net]
"""


# The repository's own


def test_the_own_catalogue_is_valid() -> None:
    assert load_catalogue(OWN).plugins


def test_every_plugin_of_the_own_catalogue_has_its_folder() -> None:
    for name, plugin in load_catalogue(OWN).plugins.items():
        assert plugin.folder is not None
        assert (REPOSITORY / plugin.folder / "pyproject.toml").is_file(), name


def test_the_own_catalogue_says_what_the_installed_plugins_register() -> None:
    catalogue = load_catalogue(OWN)
    checked = []
    for status in get_host().statuses:
        entry = catalogue.plugins.get(status.distribution or "")
        if entry is not None:
            assert status.error is None
            assert list(entry.modalities) == status.modalities
            assert list(entry.datasets) == status.datasets
            assert list(entry.recipes) == status.recipes
            checked.append(status.distribution)
    assert "aigc-image" in checked


def test_the_slots_of_the_own_catalogue_are_filled_by_plugins_that_bring_the_modality() -> None:
    catalogue = load_catalogue(OWN)
    for name, slot in catalogue.modalities.items():
        if slot.plugin is not None:
            assert name in catalogue.plugins[slot.plugin].modalities
    for plugin in catalogue.plugins.values():
        assert set(plugin.modalities) <= set(catalogue.modalities)


def test_the_entry_points_of_catalogued_plugins_are_found() -> None:
    group = importlib.metadata.entry_points(group="aigc.plugins")
    assert "aigc-image" in {e.dist.name for e in group if e.dist}


# Any


def load(tmp_path: Path, text: str):
    path = tmp_path / "registry.yaml"
    path.write_text(text, encoding="utf-8")
    return load_catalogue(path)


def refused(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "registry.yaml"))
    assert "\n" not in message
    return message


def test_who_brings_what_is_answered(tmp_path: Path) -> None:
    catalogue = load(tmp_path, VALID)
    assert catalogue.provider_of("recipe", "song/net") == "aigc-song"
    assert catalogue.provider_of("modality", "song") == "aigc-song"
    assert catalogue.provider_of("dataset", "hits") == "aigc-song"
    assert catalogue.provider_of("dataset", "song") is None


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    assert "'song' is there twice" in refused(tmp_path, VALID.replace("scent: {", "song: {"))


@pytest.mark.parametrize("text", ["", "- a", "text", "5"])
def test_a_file_without_keys_is_refused(tmp_path: Path, text: str) -> None:
    assert "expected keys such as 'schema_version'" in refused(tmp_path, text)


def test_a_newer_schema_says_to_upgrade_whatever_else_it_holds(tmp_path: Path) -> None:
    message = refused(tmp_path, "schema_version: 2\nunheard_of: 1")
    assert "schema_version 2 is newer" in message
    assert "Upgrade" in message


@pytest.mark.parametrize("version", ["'1'", "0", "1.5", "null"])
def test_another_schema_version_is_refused(tmp_path: Path, version: str) -> None:
    text = VALID.replace("schema_version: 1", f"schema_version: {version}")
    assert "schema_version=" in refused(tmp_path, text)


@pytest.mark.parametrize("key", ["schema_version", "modalities", "plugins"])
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    start = VALID.index(f"{key}:")
    end = {"schema_version": VALID.index("modalities:"), "modalities": VALID.index("plugins:")}
    text = VALID[:start] + VALID[end.get(key, len(VALID)) :]
    assert f"'{key}' is missing" in refused(tmp_path, text)


def test_a_slot_that_names_an_unknown_plugin_gets_the_nearest_one(tmp_path: Path) -> None:
    message = refused(tmp_path, VALID.replace("plugin: aigc-song", "plugin: aigc-sogn"))
    assert "modality 'song' names the plugin 'aigc-sogn'" in message
    assert "Did you mean 'aigc-song'?" in message


@pytest.mark.parametrize("key", ["code", "module", "entry_point", "_target_"])
def test_a_key_that_could_name_code_is_refused(tmp_path: Path, key: str) -> None:
    text = VALID.replace("folder: plugins/song", f"{key}: 'aigc_song:Song'")
    assert f"there is no key 'plugins.aigc-song.{key}'" in refused(tmp_path, text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("datasets: [hits]", "datasets: ['aigc_song.data:Hits']"),
        ("recipes: [song/net]", "recipes: ['aigc_song:build']"),
        ("modalities: [song]", "modalities: ['os:system']"),
        ("recipes: [song/net]", "recipes: [song]"),
    ],
)
def test_an_import_path_in_place_of_a_name_is_refused(tmp_path: Path, old: str, new: str) -> None:
    message = refused(tmp_path, VALID.replace(old, new))
    assert message.split(": ", 1)[1].startswith("plugins.aigc-song.")
    assert "[0]=" in message


def test_an_import_path_as_a_plugin_s_name_is_refused(tmp_path: Path) -> None:
    text = VALID.replace("aigc-song", "'aigc_song:Song'")
    assert "aigc_song:Song" in refused(tmp_path, text)


@pytest.mark.parametrize(
    "folder", ["/etc", "../other", "plugins/../../other", "--editable", ".git", "a//b", "a b", ""]
)
def test_a_folder_outside_of_the_checkout_is_refused(tmp_path: Path, folder: str) -> None:
    text = VALID.replace("folder: plugins/song", f"folder: '{folder}'")
    assert "plugins.aigc-song.folder=" in refused(tmp_path, text)


# Which one


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalogue outside of the current folder, which has none."""
    monkeypatch.delenv("AIGC_REGISTRY", raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    path = tmp_path / "mine.yaml"
    path.write_text(VALID)
    return path


def test_the_packaged_catalogue_is_the_last_resort(elsewhere: Path) -> None:
    assert "image" in load_catalogue().modalities


def test_the_variable_comes_before_the_packaged_one(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIGC_REGISTRY", str(elsewhere))
    assert find_catalogue() == elsewhere
    assert list(load_catalogue().modalities) == ["song", "scent"]


def test_the_current_folder_comes_before_the_variable(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIGC_REGISTRY", str(elsewhere))
    Path("registry.yaml").write_text(VALID.replace("scent", "taste"))
    assert list(load_catalogue().modalities) == ["song", "taste"]


def test_the_command_line_s_comes_before_all_others(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIGC_REGISTRY", "missing.yaml")
    Path("registry.yaml").write_text(VALID.replace("scent", "taste"))
    with use_options(HostOptions(registry=elsewhere)):
        assert list(load_catalogue().modalities) == ["song", "scent"]


@pytest.mark.parametrize("value", ["missing.yaml", ".", "x" * 5000])
def test_a_command_line_that_names_no_file_is_an_error(elsewhere: Path, value: str) -> None:
    with (
        use_options(HostOptions(registry=Path(value))),
        pytest.raises(ConfigError, match=r"--registry names .*, which is not a file"),
    ):
        load_catalogue()


@pytest.mark.parametrize("value", ["missing.yaml", ".", "x" * 5000])
def test_a_variable_that_names_no_file_is_an_error(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("AIGC_REGISTRY", value)
    with pytest.raises(ConfigError, match=r"AIGC_REGISTRY names .*, which is not a file"):
        load_catalogue()

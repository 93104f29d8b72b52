"""Why a name is not there: the plugin's own cause first, then who could bring it, then spelling."""

from pathlib import Path

import pytest

from aigc_core.plugins import PluginStatus
from aigc_core.plugins.missing import missing

CATALOGUE = """
schema_version: 1
modalities: {song: {summary: Songs, plugin: aigc-song}}
plugins:
  aigc-song: {summary: s, modalities: [song], datasets: [hits], recipes: [song/net]}
"""


@pytest.fixture(autouse=True)
def _catalogue(tmp_path: Path) -> None:
    (tmp_path / "registry.yaml").write_text(CATALOGUE)


def status(name: str, state: str = "active", distribution: str | None = None) -> PluginStatus:
    found = PluginStatus(name, f"aigc_{name}", distribution or f"aigc-{name}")
    if state != "active":
        found.fail(state, f"It is {state}.", f"fix {name}")
    return found


def why(kind: str, name: str, *statuses: PluginStatus, valid: tuple[str, ...] = ()) -> str:
    return str(missing(kind, name, dict.fromkeys(valid), statuses))


@pytest.mark.parametrize("state", ["error", "incompatible"])
def test_a_broken_plugin_that_should_bring_it_gives_its_own_cause(state: str) -> None:
    assert why("dataset", "hits", status("song", state)) == (
        "The dataset 'hits' needs the plugin 'song', which could not be loaded. "
        f"It is {state}. To fix it: fix song"
    )


def test_a_disabled_plugin_that_should_bring_it_says_how_to_enable_it() -> None:
    assert why("recipe", "song/net", status("song", "disabled")) == (
        "The recipe 'song/net' needs the plugin 'song', which is disabled. "
        "It is disabled. To fix it: fix song"
    )


def test_a_broken_plugin_that_no_catalogue_knows_is_known_by_the_recipe_s_first_half() -> None:
    message = why("recipe", "mine/net", status("other", "error"), status("mine", "error"))
    assert message.startswith("The recipe 'mine/net' needs the plugin 'mine', which could not be")


def test_a_distribution_is_known_however_it_is_written() -> None:
    broken = status("tunes", "error", distribution="Aigc_Song")
    assert "needs the plugin 'tunes', which could" in why("recipe", "song/net", broken)


def test_a_plugin_that_is_not_installed_says_how_to_get_it() -> None:
    assert why("modality", "song", status("image"), valid=("image",)) == (
        "The modality 'song' needs the plugin aigc-song, which is not installed. "
        "Install it with: aigc plugins install aigc-song"
    )


def test_an_active_plugin_that_lacks_what_the_catalogue_promises_is_not_to_be_installed() -> None:
    message = why("recipe", "song/net", status("song"), valid=("song/nets",))
    assert message == "There is no recipe 'song/net'. Did you mean 'song/nets'?"


def test_a_name_that_nothing_brings_gets_the_nearest_and_all_that_is_idle() -> None:
    message = why(
        *("recipe", "image/dcgam", status("a", "error"), status("b", "disabled"), status("c")),
        valid=("image/dcgan",),
    )
    assert message == (
        "There is no recipe 'image/dcgam'. Did you mean 'image/dcgan'? "
        "(The plugin 'a' could not be loaded: It is error.) "
        "(The plugin 'b' is disabled: It is disabled.)"
    )


def test_without_any_plugin_that_is_said() -> None:
    assert why("metric", "fid") == (
        "There is no metric 'fid': no plugin is installed. See what there is with: aigc modalities"
    )


def test_a_faulty_catalogue_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "registry.yaml").write_text("- nonsense")
    message = why("recipe", "song/net", status("song", "error"))
    assert message.startswith("The recipe 'song/net' needs the plugin 'song', which could not be")

"""Which plugins may load: from the environment, the user's file and the command line, in order."""

from pathlib import Path

import pytest
from fake_plugins import FakePlugins

from aigc_core.cli.global_options import take_global_options
from aigc_core.errors import ConfigError, PluginError, UserError
from aigc_core.plugins import HostOptions, InstalledPlugin, get_host, host_options, use_options
from aigc_core.plugins.user_state import set_disabled

SONG = InstalledPlugin("song", "aigc_song", "aigc-song")


# Where they come from


def test_without_any_wish_everything_loads() -> None:
    assert HostOptions.from_environment() == HostOptions()
    assert HostOptions().blocked(SONG) is None


def test_every_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIGC_PLUGINS", "a, b,,")
    monkeypatch.setenv("AIGC_DISABLE_PLUGINS", "c")
    monkeypatch.setenv("AIGC_STRICT", "1")
    set_disabled("d", True)
    assert HostOptions.from_environment() == HostOptions(
        only=("a", "b"), without=("c",), disabled=("d",), strict=True
    )


def test_an_empty_list_of_plugins_is_a_list_and_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIGC_PLUGINS", "")
    monkeypatch.setenv("AIGC_DISABLE_PLUGINS", "")
    options = HostOptions.from_environment()
    assert (options.only, options.without) == ((), ())
    assert options.blocked(SONG) is not None


@pytest.mark.parametrize(
    ("value", "strict"), [("1", True), ("yes", True), ("0", False), ("", False)]
)
def test_strictness_is_on_but_for_0_and_nothing(
    monkeypatch: pytest.MonkeyPatch, value: str, strict: bool
) -> None:
    monkeypatch.setenv("AIGC_STRICT", value)
    assert HostOptions.from_environment().strict is strict


def test_the_user_s_file_is_not_ignored_when_it_is_malformed(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "plugins.yaml").write_text("image")
    with pytest.raises(ConfigError, match=r"plugins\.yaml: expected 'disabled'"):
        HostOptions.from_environment()


def test_options_of_the_command_line_stand_anywhere_and_are_taken_out() -> None:
    options, others = take_global_options(
        ["--strict", "train", "--no-plugins=a,b", "image/dcgan", "--no-plugins", "--no-plugins=c"]
    )
    assert options == HostOptions(none=True, not_these=("a", "b", "c"), strict=True)
    assert others == ["train", "image/dcgan"]


def test_after_two_dashes_nothing_is_taken() -> None:
    options, others = take_global_options(["runs", "--", "--strict", "--no-plugins"])
    assert options == HostOptions()
    assert others == ["runs", "--", "--strict", "--no-plugins"]


@pytest.mark.parametrize("arguments", [["--registry", "a.yaml"], ["--registry=a.yaml"]])
def test_a_registry_of_the_command_line_is_a_path(arguments: list[str]) -> None:
    options, others = take_global_options(["modalities", *arguments])
    assert options.registry == Path("a.yaml")
    assert others == ["modalities"]


def test_a_registry_below_the_home_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert take_global_options(["--registry", "~/r.yaml"])[0].registry == Path("/home/me/r.yaml")
    unknown = take_global_options(["--registry", "~nobody-of-that-name/r.yaml"])[0].registry
    assert unknown == Path("~nobody-of-that-name/r.yaml")


@pytest.mark.parametrize("arguments", [["--registry"], ["--registry="], ["--no-plugins= , "]])
def test_an_option_without_its_value_is_refused(arguments: list[str]) -> None:
    with pytest.raises(UserError, match=r"--registry needs the path|names no plugin"):
        take_global_options(arguments)


# Which one counts

NEAREST_FIRST = [
    ({"none": True}, "--no-plugins"),
    ({"not_these": ("song",)}, "--no-plugins"),
    ({"without": ("song",)}, "AIGC_DISABLE_PLUGINS"),
    ({"only": ("song",)}, None),
    ({"disabled": ("song",)}, "aigc plugins disable"),
]


@pytest.mark.parametrize("position", range(len(NEAREST_FIRST)))
def test_of_contradicting_wishes_the_one_nearest_to_the_command_counts(position: int) -> None:
    wishes = [wish for wish, _ in NEAREST_FIRST[position:]]
    blocked = HostOptions(**{k: v for wish in wishes for k, v in wish.items()}).blocked(SONG)
    reported = NEAREST_FIRST[position][1]
    assert blocked is None if reported is None else blocked is not None and reported in blocked[0]


@pytest.mark.parametrize("wish", ["not_these", "without", "disabled"])
@pytest.mark.parametrize("name", ["song", "aigc-song", "Aigc_Song"])
def test_a_plugin_is_named_by_itself_or_by_its_distribution(wish: str, name: str) -> None:
    assert HostOptions(**{wish: (name,)}).blocked(SONG) is not None
    assert HostOptions(**{wish: ("other",)}).blocked(SONG) is None
    assert HostOptions(only=(name,)).blocked(SONG) is None
    assert HostOptions(only=("other",)).blocked(SONG) is not None


@pytest.mark.parametrize("name", ["song", "Aigc_Song"])
def test_what_switches_a_plugin_on_again_is_the_name_in_the_user_s_file(name: str) -> None:
    blocked = HostOptions(disabled=(name,)).blocked(SONG)
    assert blocked == (
        "It was switched off with aigc plugins disable.",
        f"aigc plugins enable {name}",
    )


# Names that nothing has


def test_a_misspelt_name_is_an_error_on_the_command_line() -> None:
    with pytest.raises(PluginError) as caught:
        HostOptions(not_these=("image", "imge")).check_names()
    assert str(caught.value) == (
        "--no-plugins names 'imge', which is no installed plugin. Did you mean 'image'?"
    )


def test_a_misspelt_name_in_the_environment_is_a_warning(
    log_of_aigc: pytest.LogCaptureFixture,
) -> None:
    """A variable in a profile must not stop commands where a plugin is not installed."""
    HostOptions(only=("imge",), without=("imge",), disabled=("imge",)).check_names()
    assert log_of_aigc.messages == [
        "AIGC_PLUGINS names 'imge', which is no installed plugin. Did you mean 'image'?"
    ]
    with pytest.raises(PluginError, match="AIGC_PLUGINS names 'imge'"):
        HostOptions(only=("imge",), strict=True).check_names()


def test_a_name_that_would_block_everything_in_silence_is_reported(
    log_of_aigc: pytest.LogCaptureFixture,
) -> None:
    """A plugin's own name is compared exactly, so ``Image`` is none."""
    HostOptions(only=("Image",)).check_names()
    assert "AIGC_PLUGINS names 'Image'" in log_of_aigc.messages[0]


def test_right_names_are_not_reported(log_of_aigc: pytest.LogCaptureFixture) -> None:
    HostOptions(only=("image", "Aigc_Image"), not_these=("aigc-image",)).check_names()
    assert log_of_aigc.messages == []


# In use


def test_options_in_use_hold_inside_and_the_environment_s_outside() -> None:
    with use_options(HostOptions(none=True)):
        assert host_options() == HostOptions(none=True)
        with use_options(HostOptions(strict=True)):
            assert host_options() == HostOptions(strict=True)
        assert host_options() == HostOptions(none=True)
    assert host_options() == HostOptions()


def test_other_options_make_another_host(
    fake_plugins: FakePlugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = get_host()
    assert get_host() is everything
    with use_options(HostOptions(none=True)):
        assert get_host().recipes == {}
        assert {status.state for status in get_host().statuses} == {"disabled"}
    monkeypatch.setenv("AIGC_DISABLE_PLUGINS", "image")
    assert "image/dcgan" not in get_host().recipes

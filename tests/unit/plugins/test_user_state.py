"""``aigc plugins disable`` is remembered in a small file of the user's, and nowhere else."""

from pathlib import Path

import filelock
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigc_core.errors import ConfigError, StorageError
from aigc_core.plugins.user_state import disabled_plugins, set_disabled, state_file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config" / "plugins.yaml"


def test_without_a_file_nothing_is_switched_off(file: Path) -> None:
    assert state_file() == file
    assert disabled_plugins() == ()
    assert not file.parent.exists(), "to look is not to write"


def test_off_and_on_again(file: Path) -> None:
    assert set_disabled("song", True) is True
    assert set_disabled("image", True) is True
    assert disabled_plugins() == ("image", "song")
    assert set_disabled("song", False) is True
    assert disabled_plugins() == ("image",)
    assert set_disabled("image", False) is True
    assert disabled_plugins() == ()


def test_what_is_so_already_changes_nothing(file: Path) -> None:
    assert set_disabled("song", False) is False
    assert not file.exists()
    set_disabled("song", True)
    before = file.stat().st_mtime_ns
    assert set_disabled("song", True) is False
    assert file.stat().st_mtime_ns == before


def test_the_file_says_what_it_is(file: Path) -> None:
    set_disabled("song", True)
    assert file.read_text() == (
        "# Plugins that `aigc plugins disable` switched off. Written by aigc.\ndisabled:\n- song\n"
    )


ODD = [
    "true",
    "null",
    "1",
    "2e-4",
    "on",
    "a: b",
    "# x",
    "- a",
    "*a",
    "é",
    "🙂",
    " a",
    "'",
    '"',
    "\n",
]


@pytest.mark.parametrize("name", ODD)
def test_odd_names_come_back_as_they_were(name: str) -> None:
    set_disabled(name, True)
    set_disabled("song", True)
    assert set(disabled_plugins()) == {name, "song"}
    set_disabled(name, False)
    assert disabled_plugins() == ("song",)


@settings(max_examples=25, deadline=None)
@given(names=st.sets(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=2))
def test_any_names_come_back_as_they_were(names: set[str]) -> None:
    for name in names:
        set_disabled(name, True)
    assert set(disabled_plugins()) == names
    for name in names:
        set_disabled(name, False)
    assert disabled_plugins() == ()


@pytest.mark.parametrize(
    "text",
    [
        *("", "image", "- image", "disabled:", "disabled: image", "disabled: {image: true}"),
        *("disabled: [1]", "disabled: [true]", "disabled: [[image]]", "enabled: [image]"),
        *("disabled: [image]\nmore: 1", "disabled: [", "disabled: []\ndisabled: []", "\x00"),
    ],
)
def test_a_malformed_file_is_an_error_and_stays_as_it_is(file: Path, text: str) -> None:
    """Taken as empty, it would switch on again what the user switched off."""
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"plugins\.yaml"):
        disabled_plugins()
    with pytest.raises(ConfigError, match=r"plugins\.yaml"):
        set_disabled("image", True)
    assert file.read_text() == text


def test_the_message_says_how_to_mend_it(file: Path) -> None:
    file.parent.mkdir()
    file.write_text("disabled: image")
    with pytest.raises(ConfigError) as caught:
        disabled_plugins()
    assert str(caught.value) == (
        f"{file}: expected 'disabled' with a list of plugins' names, found "
        "{'disabled': 'image'}. Correct it, or delete the file to enable every plugin."
    )


def test_a_link_stays_one(file: Path, tmp_path: Path) -> None:
    """As in the folders of those who keep such files under version control."""
    kept = tmp_path / "dotfiles" / "aigc.yaml"
    kept.parent.mkdir()
    kept.write_text("disabled: [image]\n")
    file.parent.mkdir()
    file.symlink_to(kept)
    set_disabled("song", True)
    assert file.is_symlink()
    assert "- song" in kept.read_text()
    assert disabled_plugins() == ("image", "song")


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("a file")
    assert disabled_plugins() == ()
    with pytest.raises(
        StorageError, match=r"Could not write .*plugins\.yaml: (File exists|Not a d)"
    ):
        set_disabled("image", True)


def test_a_file_that_cannot_be_written_is_reported_and_the_old_one_stands(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_disabled("song", True)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)  # root, as in a container, may write everything
    with pytest.raises(StorageError, match=r"plugins\.yaml: No space left on device"):
        set_disabled("image", True)
    assert disabled_plugins() == ("song",)
    assert sorted(path.name for path in file.parent.iterdir()) == [".plugins.lock", "plugins.yaml"]


def test_a_folder_that_may_not_be_looked_into_has_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a container runs as a user without a home: every command would fail."""

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.stat", denied)
    assert disabled_plugins() == ()


def test_a_folder_of_an_impossible_name_has_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIGC_CONFIG_DIR", "x" * 5000)
    assert disabled_plugins() == ()
    with pytest.raises(StorageError, match="File name too long"):
        set_disabled("image", True)


def test_another_aigc_that_holds_the_file_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def held(self: filelock.BaseFileLock, *_: object, **__: object) -> None:
        raise filelock.Timeout(str(self.lock_file))

    monkeypatch.setattr(filelock.BaseFileLock, "acquire", held)
    with pytest.raises(StorageError, match=r"plugins\.yaml: another aigc holds its lock\.$"):
        set_disabled("image", True)


def test_without_the_variable_the_file_is_the_user_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIGC_CONFIG_DIR")
    assert state_file().is_absolute()
    assert "aigc" in state_file().parts


def test_the_registry_is_left_alone(tmp_path: Path) -> None:
    """Comments in the catalogue survive: a tool that rewrote it would lose them."""
    text = "# mine\nschema_version: 1  # the first\nmodalities: {}\nplugins: {}\n"
    (tmp_path / "registry.yaml").write_text(text)
    set_disabled("image", True)
    assert (tmp_path / "registry.yaml").read_text() == text

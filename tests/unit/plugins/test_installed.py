"""What is installed is reported from metadata alone, whatever state that is in."""

import importlib.metadata
import json
import urllib.request  # noqa: F401 - imported late, when these tests hide the standard library
from pathlib import Path

import pytest
from fake_plugins import FakePlugins, metadata

from aigc_core.plugins import InstalledPlugin, PluginStatus, find_installed
from aigc_core.plugins.installed import as_argument, matches_name, normal_name

ONE = b"[aigc.plugins]\none = fake_one\n"


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePlugins:
    """An environment in which nothing else is installed."""
    fakes = FakePlugins(tmp_path / "site")
    monkeypatch.setattr("sys.path", [str(fakes.folder)])
    return fakes


def test_everything_that_the_metadata_says_is_known_without_an_import(fakes: FakePlugins) -> None:
    requires = ["aigc-core>=0.1", "numpy; extra == 'fast'"]
    info = fakes.add("one", "1 / 0", version="1.2", requires=requires, api="1")
    assert find_installed() == [
        InstalledPlugin(
            name="one",
            module="fake_one",
            distribution="aigc-one",
            version="1.2",
            location=str(fakes.folder),
            editable=False,
            source=None,
            metadata_path=str(info),
            requirements=tuple(requires),
            api_version="1",
            problem=None,
            fix=None,
        )
    ]


def test_plugins_come_in_the_order_of_their_names(fakes: FakePlugins) -> None:
    for name in ("b", "c", "a"):
        fakes.add(name)
    assert [plugin.name for plugin in find_installed()] == ["a", "b", "c"]


def test_one_distribution_may_bring_several_plugins(fakes: FakePlugins) -> None:
    files = {"METADATA": metadata("two", "1"), "entry_points.txt": "[aigc.plugins]\na = x\nb = y\n"}
    fakes.dist_info("two", "1", files)
    assert [(p.name, p.module, p.distribution) for p in find_installed()] == [
        ("a", "x", "two"),
        ("b", "y", "two"),
    ]


def test_an_editable_installation_names_the_folder_of_its_source(
    fakes: FakePlugins, tmp_path: Path
) -> None:
    source = tmp_path / "my source"
    fakes.add("one", source=source)
    (plugin,) = find_installed()
    assert (plugin.location, plugin.editable) == (str(source), True)


@pytest.mark.parametrize("kind", ["dir_info", "archive_info"])
def test_what_was_installed_from_a_folder_or_file_names_it(fakes: FakePlugins, kind: str) -> None:
    url = {"url": "file:///home/me/my%20plugin", kind: {}}
    (fakes.add("one") / "direct_url.json").write_text(json.dumps(url))
    (plugin,) = find_installed()
    assert plugin.source == "/home/me/my plugin"
    assert (plugin.location, plugin.editable) == (str(fakes.folder), False)


@pytest.mark.parametrize(
    "direct_url",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b"\xff",
        b"[" * 100_000,
        b'{"dir_info": null}',
        b'{"dir_info": {"editable": true}}',
        b'{"dir_info": {"editable": true}, "url": 5}',
        b'{"dir_info": {"editable": true}, "url": "file://[bad"}',
        b'{"url": "https://example.org/x", "dir_info": {}}',
        b'{"url": null}',
    ],
)
def test_a_damaged_direct_url_tells_nothing(fakes: FakePlugins, direct_url: bytes) -> None:
    info = fakes.add("one")
    (info / "direct_url.json").write_bytes(direct_url)
    (plugin,) = find_installed()
    assert (plugin.location, plugin.editable) == (str(fakes.folder), False)


@pytest.mark.parametrize(
    "damage",
    [b"[aigc.plugins]\nno equals sign\n", b"\xff[aigc.plugins]", b"[", b"aigc.plugins = 1\n"],
)
def test_damaged_metadata_of_another_distribution_hides_no_plugin(
    fakes: FakePlugins, damage: bytes
) -> None:
    """``importlib.metadata.entry_points`` stops at the first malformed file."""
    files = {"METADATA": metadata("damaged", "1"), "entry_points.txt": damage}
    fakes.dist_info("damaged", "1", files)
    fakes.add("one")
    assert "one" in [plugin.name for plugin in find_installed()]


def test_a_plugin_with_a_malformed_list_of_entry_points_is_reported(fakes: FakePlugins) -> None:
    files = {"METADATA": metadata("aigc-one", "1.2"), "entry_points.txt": ONE + b"no equals sign"}
    fakes.dist_info("aigc-one", "1.2", files)
    (plugin,) = find_installed()
    assert (plugin.name, plugin.distribution, plugin.version) == ("aigc-one", "aigc-one", "1.2")
    assert (plugin.problem or "").startswith("its entry_points.txt cannot be read: ")
    assert plugin.fix == "pip install --force-reinstall --no-deps aigc-one"


def test_an_unreadable_file_hides_nothing_but_itself(
    fakes: FakePlugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes.add("one")
    fakes.add("two")
    read = importlib.metadata.PathDistribution.read_text

    def failing(self: importlib.metadata.PathDistribution, name: str) -> str | None:
        if "aigc_two" in str(self.locate_file(self._path)):
            raise OSError("input/output error")
        return read(self, name)

    monkeypatch.setattr(importlib.metadata.PathDistribution, "read_text", failing)
    assert [plugin.name for plugin in find_installed()] == ["one"]


def test_without_metadata_a_plugin_has_no_version(fakes: FakePlugins) -> None:
    """A removal that was interrupted leaves such folders."""
    info = fakes.dist_info("aigc-one", "1.2", {"entry_points.txt": ONE})
    (plugin,) = find_installed()
    assert (plugin.name, plugin.distribution, plugin.version) == ("one", None, None)
    assert plugin.metadata_path == str(info)
    assert plugin.removal == f"remove the folder {info}"
    assert not matches_name(plugin, "")


@pytest.mark.parametrize("name", ["--all", "-r x", "a; touch x", "\x1b[31mred", "ä", "a-", "$(x)"])
def test_a_distribution_of_an_impossible_name_has_none(fakes: FakePlugins, name: str) -> None:
    """Names of distributions become arguments of pip's."""
    text = f"Name: {name}\nVersion: 1\x1b[2J\n"
    fakes.dist_info("aigc-one", "1", {"entry_points.txt": ONE, "METADATA": text})
    (plugin,) = find_installed()
    assert (plugin.name, plugin.distribution, plugin.version) == ("one", None, r"1\x1b[2J")


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("foo; touch x", "foo; touch x"),
        ("--all", "--all"),
        ("\x1b[31mred", r"\x1b[31mred"),
        (".hidden", ".hidden"),
    ],
)
def test_a_plugin_of_an_impossible_name_is_reported_and_can_be_removed(
    fakes: FakePlugins, name: str, printed: str
) -> None:
    fakes.add(name, distribution="dist-a", module="fake_a")
    (plugin,) = find_installed()
    assert plugin.name == printed
    assert plugin.problem == f"its name '{printed}' is not valid: letters, digits, . - _"
    assert plugin.fix == plugin.removal == "aigc plugins uninstall dist-a"


@pytest.mark.parametrize("name", ["one", "one-2", "One_2.x", "2d", "_x", "é"])
def test_other_names_are_none_of_our_business(fakes: FakePlugins, name: str) -> None:
    fakes.add(name, distribution="dist-a", module="fake_a")
    assert [(plugin.name, plugin.problem) for plugin in find_installed()] == [(name, None)]


@pytest.mark.parametrize(
    ("name", "argument"), [("one", "one"), ("--all", "-- --all"), ("a; b", "'a; b'"), ("", "''")]
)
def test_names_are_typed_as_a_shell_wants_them(name: str, argument: str) -> None:
    assert as_argument(name) == argument
    status = PluginStatus(name, "x")
    status.fail("error", "It is bad.")
    assert status.fix == f"aigc plugins disable {argument}"


def test_what_pip_moved_away_and_did_not_remove_is_not_there(fakes: FakePlugins) -> None:
    """It renames the old version while it installs the new one; killed then, it leaves it."""
    info = fakes.add("one", version="0.9")
    info.rename(fakes.folder / "~igc_one-0.9.dist-info")
    assert find_installed() == []
    fakes.add("one", version="1.0")
    assert [plugin.version for plugin in find_installed()] == ["1.0"]


def test_two_versions_in_one_folder_are_a_problem(fakes: FakePlugins) -> None:
    for version in ("1.0", "0.9"):
        fakes.add("one", version=version)
    (plugin,) = find_installed()
    assert plugin.problem == "two versions are installed over one another: 0.9 and 1.0"
    assert plugin.fix == "aigc plugins uninstall aigc-one && aigc plugins install aigc-one"
    fakes.add("one", version="1.1")
    assert "3 versions are installed over one another: 0.9 and 1.0" in str(find_installed())


@pytest.mark.parametrize("text", [b"\xff\xfe", b"Name:\nVersion:\n", b"nonsense", b""])
def test_with_damaged_metadata_a_plugin_is_found(fakes: FakePlugins, text: bytes) -> None:
    fakes.dist_info("aigc-one", "1.2", {"entry_points.txt": ONE, "METADATA": text})
    (plugin,) = find_installed()
    assert (plugin.name, plugin.module) == ("one", "fake_one")


def test_a_distribution_on_two_folders_of_the_path_counts_once_and_the_first(
    fakes: FakePlugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes.add("one", version="1.0", distribution="aigc-one")
    later = FakePlugins(tmp_path / "later")
    later.add("one", version="2.0", distribution="Aigc_One")
    monkeypatch.setattr("sys.path", [str(fakes.folder), str(later.folder), str(fakes.folder)])
    assert [(plugin.version, plugin.problem) for plugin in find_installed()] == [("1.0", None)]


def test_other_groups_are_no_plugins(fakes: FakePlugins) -> None:
    text = "[console_scripts]\naigc.plugins = x:main\n[aigc.plugins.more]\na = b\n"
    fakes.dist_info("other", "1", {"METADATA": metadata("other", "1"), "entry_points.txt": text})
    assert find_installed() == []


@pytest.mark.parametrize("name", ["aigc-image", "Aigc_Image", "AIGC.image", "aigc-_-image"])
def test_names_of_distributions_are_compared_as_pypa_says(name: str) -> None:
    assert normal_name(name) == "aigc-image"
    assert matches_name(InstalledPlugin("picture", "x", "aigc.Image"), name)


@pytest.mark.parametrize("name", ["Picture", "image", "", "aigc"])
def test_a_plugin_s_own_name_is_compared_exactly(name: str) -> None:
    assert matches_name(InstalledPlugin("picture", "x", "aigc-image"), "picture")
    assert not matches_name(InstalledPlugin("picture", "x", "aigc-image"), name)

"""What is installed is told from metadata alone, whatever state that is in."""

import importlib.metadata
from pathlib import Path

import pytest
from fake_plugins import FakePlugins, metadata

from aigc_core.plugins import InstalledPlugin, find_installed
from aigc_core.plugins.installed import is_called, normal_name

ONE = b"[aigc.plugins]\none = fake_one\n"


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePlugins:
    """An environment in which nothing else is installed."""
    fakes = FakePlugins(tmp_path / "site")
    monkeypatch.setattr("sys.path", [str(fakes.folder)])
    return fakes


def test_everything_that_the_metadata_says_is_known_without_an_import(fakes: FakePlugins) -> None:
    requires = ["aigc-core>=0.1", "numpy; extra == 'fast'"]
    fakes.add("one", "1 / 0", version="1.2", requires=requires, api="1")
    assert find_installed() == [
        InstalledPlugin(
            name="one",
            module="fake_one",
            distribution="aigc-one",
            version="1.2",
            location=str(fakes.folder),
            editable=False,
            requirements=tuple(requires),
            api_version="1",
            problem=None,
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
        b'{"url": "file:///x", "dir_info": {}}',
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


def test_a_plugin_with_a_malformed_list_of_entry_points_is_told(fakes: FakePlugins) -> None:
    files = {"METADATA": metadata("aigc-one", "1.2"), "entry_points.txt": ONE + b"no equals sign"}
    fakes.dist_info("aigc-one", "1.2", files)
    (plugin,) = find_installed()
    assert (plugin.name, plugin.distribution, plugin.version) == ("aigc-one", "aigc-one", "1.2")
    assert (plugin.problem or "").startswith("its entry_points.txt cannot be read: ")


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
    fakes.dist_info("aigc-one", "1.2", {"entry_points.txt": ONE})
    (plugin,) = find_installed()
    assert (plugin.name, plugin.distribution, plugin.version) == ("one", None, None)
    assert not is_called(plugin, "")


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
    assert [plugin.version for plugin in find_installed()] == ["1.0"]


def test_other_groups_are_no_plugins(fakes: FakePlugins) -> None:
    text = "[console_scripts]\naigc.plugins = x:main\n[aigc.plugins.more]\na = b\n"
    fakes.dist_info("other", "1", {"METADATA": metadata("other", "1"), "entry_points.txt": text})
    assert find_installed() == []


@pytest.mark.parametrize("name", ["aigc-image", "Aigc_Image", "AIGC.image", "aigc-_-image"])
def test_names_of_distributions_are_compared_as_pypa_says(name: str) -> None:
    assert normal_name(name) == "aigc-image"
    assert is_called(InstalledPlugin("picture", "x", "aigc.Image"), name)


@pytest.mark.parametrize("name", ["Picture", "image", "", "aigc"])
def test_a_plugin_s_own_name_is_compared_exactly(name: str) -> None:
    assert is_called(InstalledPlugin("picture", "x", "aigc-image"), "picture")
    assert not is_called(InstalledPlugin("picture", "x", "aigc-image"), name)

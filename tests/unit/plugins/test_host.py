"""The host loads each plugin under guard: whatever one does wrong, the others work."""

import importlib.metadata
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from aigc_core.errors import PluginError
from aigc_core.plugins import PluginHost, PluginStatus
from aigc_core.plugins.loader import ENTRY_POINT_GROUP

GOOD = """
from aigc_core import DatasetSpec, ModalitySpec, RecipeSpec, hookimpl

@hookimpl
def aigc_register_modalities():
    return [ModalitySpec(name="{0}", summary="", code="{0}_code:Modality")]

@hookimpl
def aigc_register_datasets():
    return [DatasetSpec(name="{0}-data", modality="{0}", summary="", code="{0}_code:Data")]

@hookimpl
def aigc_register_recipes():
    return [
        RecipeSpec(name="{0}/net", summary="", build="{0}_code:build", model="{0}_code:Model",
                   trainer="{0}_code:Trainer", dataset="{0}-data")
    ]
"""


class Distribution(importlib.metadata.Distribution):
    """Installed metadata that is nowhere on disk."""

    def __init__(self, metadata: str | None) -> None:
        self._metadata = metadata

    def read_text(self, filename: str) -> str | None:
        if self._metadata is None:
            raise OSError("the file is gone")
        return self._metadata if filename == "METADATA" else None

    def locate_file(self, path):
        return Path(path)


class World:
    """A folder on ``sys.path`` to write plugins into, and a host that knows none of them yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = PluginHost()

    def entry_point(self, name: str, code: str, distribution: str | None = "unnamed"):
        module = f"toyplugin_{name.replace('-', '_')}_{len(list(self.folder.iterdir()))}"
        (self.folder / f"{module}.py").write_text(textwrap.dedent(code), encoding="utf-8")
        entry_point = importlib.metadata.EntryPoint(name, module, ENTRY_POINT_GROUP)
        if distribution == "unnamed":
            return entry_point
        metadata = None if distribution is None else f"Name: {distribution}\nVersion: 1.2\n"
        return entry_point._for(Distribution(metadata))

    def load(self, name: str, code: str, distribution: str | None = "unnamed") -> PluginStatus:
        return self.host.load(self.entry_point(name, code, distribution))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield World(tmp_path)
    for name in set(sys.modules) - before:
        if name.startswith("toyplugin_"):
            del sys.modules[name]


def assert_only_works(world: World, *names: str) -> None:
    """Exactly the plugins of these names are active, with all that they bring."""
    active = [s.name for s in world.host.statuses.values() if s.state == "active"]
    assert active == list(names)
    assert list(world.host.modalities) == list(names)
    assert list(world.host.datasets) == [f"{name}-data" for name in names]
    assert list(world.host.recipes) == [f"{name}/net" for name in names]
    assert [name for name, _ in world.host.manager.list_name_plugin()] == list(names)


def test_a_plugin_brings_what_it_registers(world: World) -> None:
    status = world.load("good", GOOD.format("good"), "aigc-good")
    assert (status.state, status.distribution, status.version) == ("active", "aigc-good", "1.2")
    assert (status.modalities, status.datasets, status.recipes) == (
        ["good"],
        ["good-data"],
        ["good/net"],
    )
    assert world.host.owner("recipe", "good/net") == "good"
    assert_only_works(world, "good")


def test_plugins_are_loaded_in_the_order_of_their_names(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [world.entry_point(name, GOOD.format(name)) for name in ("b", "c", "a")]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: found)
    world.host.discover()
    assert_only_works(world, "a", "b", "c")


HOOK = "from aigc_core import DatasetSpec, ModalitySpec, RecipeSpec, hookimpl\n@hookimpl\n"
MODALITIES = HOOK + "def aigc_register_modalities():\n    "
BROKEN = {
    "import error": ("import no_such_module", "ModuleNotFoundError: No module named 'no_such"),
    "syntax error": ("def broken(:", "SyntaxError: "),
    "exit": ("raise SystemExit(3)", "SystemExit: 3"),
    "any other error": ("class E(BaseException): pass\nraise E", "failed: E"),
    "invalid spec": (
        "from aigc_core import ModalitySpec\nModalitySpec(name='Bad Name', summary='', code='a:B')",
        "ModalitySpec is not valid: name=Bad Name: String should match pattern",
    ),
    "defaults that are no section": (
        GOOD.format("x").replace('dataset="x-data"', 'dataset="x-data", defaults={"engine": 5}'),
        "RecipeSpec is not valid: defaults: engine must be a dict, found 5",
    ),
    "returns nothing": (
        MODALITIES + "pass",
        "aigc_register_modalities must return a list of ModalitySpec; found NoneType.",
    ),
    "returns a single spec": (
        MODALITIES + "return ModalitySpec(name='x', summary='', code='a:B')",
        "aigc_register_modalities must return a list of ModalitySpec; found ModalitySpec.",
    ),
    "yields": (
        MODALITIES + "yield ModalitySpec(name='x', summary='', code='a:B')",
        "must return a list of ModalitySpec; found generator.",
    ),
    "returns wrong specs": (
        MODALITIES + "return [DatasetSpec(name='x', modality='good', summary='', code='a:B')]",
        "must return a list of ModalitySpec; one of its items is DatasetSpec.",
    ),
    "raises in a hook": (MODALITIES + "1 / 0", "aigc_register_modalities failed: ZeroDivision"),
    "exits in a hook": (MODALITIES + "raise SystemExit(1)", "SystemExit: 1"),
    "returns one name twice": (
        MODALITIES + "return [ModalitySpec(name='x', summary='', code='a:B')] * 2",
        "aigc_register_modalities returned the modality 'x' twice.",
    ),
    "unknown hook": (
        HOOK + "def aigc_register_recipe(): return []",
        "There is no hook 'aigc_register_recipe'. Did you mean 'aigc_register_recipes'?",
    ),
    "hook without mark": (
        "def aigc_register_recipes(): return []",
        "'aigc_register_recipes' is not marked; put @aigc_core.hookimpl above it.",
    ),
    "misspelt argument": (
        HOOK + "def aigc_run_started(run, confg): pass",
        "The hook 'aigc_run_started' has no argument 'confg'. Did you mean 'config'?",
    ),
}


@pytest.mark.parametrize(("code", "error"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_told_and_the_others_work(world: World, code: str, error: str) -> None:
    world.load("good", GOOD.format("good"))
    status = world.load("my-broken", code)
    world.load("later", GOOD.format("later"))
    assert status.state == "error"
    assert error in (status.error or "")
    assert "\n" not in (status.error or "")
    assert world.host.broken() == [status]
    assert_only_works(world, "good", "later")
    with pytest.raises(PluginError, match=r"The plugin 'my-broken' could not be loaded: "):
        world.host.recipe("my-broken/net")


def test_a_missing_attribute_is_told(world: World) -> None:
    module = world.entry_point("good", GOOD.format("good")).value
    entry_point = importlib.metadata.EntryPoint("x", f"{module}:Missing", ENTRY_POINT_GROUP)
    assert "has no attribute 'Missing'" in (world.host.load(entry_point).error or "")


def test_an_entry_point_that_is_no_reference_is_told(world: World) -> None:
    entry_point = importlib.metadata.EntryPoint("x", "not a module!", ENTRY_POINT_GROUP)
    assert world.host.load(entry_point).state == "error"


def test_a_half_removed_distribution_does_not_stop_the_host(world: World) -> None:
    status = world.load("good", GOOD.format("good"), None)
    assert status.version is None
    assert_only_works(world, "good")


def test_ctrl_c_while_loading_passes_through(world: World) -> None:
    with pytest.raises(KeyboardInterrupt):
        world.load("slow", "raise KeyboardInterrupt")


@pytest.mark.parametrize(
    ("kind", "name", "clash"),
    [
        (
            "modality",
            "first",
            MODALITIES + "return [ModalitySpec(name='own', summary='', code='a:B'),"
            "ModalitySpec(name='first', summary='', code='a:B')]",
        ),
        (
            "dataset",
            "first-data",
            GOOD.format("own").replace('name="own-data"', 'name="first-data"'),
        ),
        (
            "recipe",
            "first/net",
            GOOD.format("own").replace('name="own/net"', 'name="first/net"'),
        ),
    ],
)
def test_of_two_plugins_with_one_name_the_first_stays_and_the_second_is_forgotten(
    world: World, kind: str, name: str, clash: str
) -> None:
    world.load("first", GOOD.format("first"))
    status = world.load("second", clash)
    assert status.error == (
        f"The {kind} '{name}' is already brought by the plugin 'first'. "
        "Uninstall 'first' or 'second'."
    )
    assert (status.modalities, status.datasets, status.recipes) == ([], [], [])
    assert world.host.owner(kind, name) == "first"
    assert_only_works(world, "first")


def test_of_two_distributions_with_one_plugin_name_the_first_stays(world: World) -> None:
    world.load("twin", GOOD.format("twin"), "dist-a")
    status = world.load("twin", GOOD.format("other"), "dist-b")
    assert status.error == (
        "The distribution dist-a brings a plugin named 'twin' too, and comes first. "
        "Uninstall one of them."
    )
    assert [s.distribution for s in world.host.statuses.values()] == ["dist-a", "dist-b"]
    assert_only_works(world, "twin")


def test_the_same_metadata_seen_twice_is_one_plugin(world: World) -> None:
    entry_point = world.entry_point("good", GOOD.format("good"), "aigc-good")
    assert world.host.load(entry_point) is world.host.load(entry_point)
    assert_only_works(world, "good")


def test_one_module_under_two_names_is_told(world: World) -> None:
    entry_point = world.entry_point("good", GOOD.format("good"))
    world.host.load(entry_point)
    again = importlib.metadata.EntryPoint("again", entry_point.value, ENTRY_POINT_GROUP)
    assert "is registered already, as 'good'" in (world.host.load(again).error or "")
    assert_only_works(world, "good")


def test_a_hook_is_found_under_another_name(world: World) -> None:
    """``specname`` gives a hook's implementation a name of its own."""
    plain = "@hookimpl\ndef aigc_register_recipes"
    renamed = '@hookimpl(specname="aigc_register_recipes")\ndef mine'
    world.load("good", GOOD.format("good").replace(plain, renamed))
    assert_only_works(world, "good")


def test_a_missing_recipe_gets_the_nearest_one(world: World) -> None:
    world.load("good", GOOD.format("good"))
    with pytest.raises(PluginError, match=r"no recipe 'net'\. Did you mean 'good/net'\?"):
        world.host.recipe("net")


def test_a_missing_dataset_gets_the_nearest_one_of_the_modality(world: World) -> None:
    for name in ("good", "goods"):
        world.load(name, GOOD.format(name))
    with pytest.raises(PluginError, match=r"no dataset 'good-date'\. Did you mean 'goods-data'\?"):
        world.host.dataset("good-date", "goods")


def test_a_dataset_of_another_modality_is_refused(world: World) -> None:
    for name in ("good", "fine"):
        world.load(name, GOOD.format(name))
    with pytest.raises(PluginError, match="'fine-data' holds fine, and the recipe makes good"):
        world.host.dataset("fine-data", "good")


def test_a_missing_modality_gets_the_nearest_one(world: World) -> None:
    world.load("good", GOOD.format("good"))
    with pytest.raises(PluginError, match=r"no modality 'goo'\. Did you mean 'good'\?"):
        world.host.modality("goo")


def test_without_any_plugin_that_is_said(world: World) -> None:
    with pytest.raises(PluginError, match=r"no recipe 'x/y': no plugin is installed.*aigc modal"):
        world.host.recipe("x/y")


CATALOGUE = """
schema_version: 1
modalities: {song: {summary: Songs, plugin: aigc-song}}
plugins:
  aigc-song: {summary: s, modalities: [song], datasets: [hits], recipes: [song/net]}
"""


@pytest.mark.parametrize(("kind", "name"), [("recipe", "song/net"), ("modality", "song")])
def test_what_a_catalogued_plugin_brings_says_how_to_install_it(
    world: World, kind: str, name: str
) -> None:
    (world.folder / "registry.yaml").write_text(CATALOGUE)
    with pytest.raises(PluginError) as caught:
        getattr(world.host, kind)(name)
    assert str(caught.value) == (
        f"The {kind} '{name}' needs the plugin aigc-song, which is not installed. "
        "Install it with: pip install aigc-song"
    )


def test_an_installed_plugin_that_is_broken_is_not_said_to_be_missing(world: World) -> None:
    (world.folder / "registry.yaml").write_text(CATALOGUE)
    world.load("song", "import no_such_module", "Aigc_Song")
    with pytest.raises(PluginError, match="The plugin 'song' could not be loaded: Importing"):
        world.host.recipe("song/net")


def test_a_faulty_catalogue_does_not_hide_what_is_missing(world: World) -> None:
    (world.folder / "registry.yaml").write_text("nonsense")
    with pytest.raises(PluginError, match="There is no recipe 'x/y'"):
        world.host.recipe("x/y")


def test_a_reference_is_resolved(world: World) -> None:
    assert world.host.resolve("textwrap:dedent", "good") is textwrap.dedent


@pytest.mark.parametrize(
    ("reference", "code", "why"),
    [
        ("toyplugin_absent:x", None, "ModuleNotFoundError"),
        ("toyplugin_late:x", "", "has no attribute 'x'"),
        ("toyplugin_late:x", "1 / 0", "ZeroDivisionError: division by zero"),
        ("toyplugin_late:x", "raise SystemExit(1)", "SystemExit: 1"),
    ],
)
def test_a_reference_that_cannot_be_loaded_names_the_plugin(
    world: World, reference: str, code: str | None, why: str
) -> None:
    if code is not None:
        (world.folder / "toyplugin_late.py").write_text(code)
    with pytest.raises(PluginError) as caught:
        world.host.resolve(reference, "good")
    assert str(caught.value).startswith(f"The plugin 'good' names {reference}, which cannot be")
    assert why in str(caught.value)


@pytest.mark.parametrize(
    "code",
    [
        "import aigc_core",
        "import aigc_core.config",
        "import aigc_core.plugins",
        "import aigc_core.interfaces.config",
        "import aigc_core.trainers.config",
        "from aigc_core.plugins import get_host; assert get_host().recipes",
    ],
)
def test_torch_is_not_imported_by(code: str, tmp_path: Path) -> None:
    """It took ``llm --help`` from 1.3 s to 10.7 s (llm #732)."""
    check = f"{code}; import sys; print([m for m in sys.modules if m.startswith('torch')])"
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")

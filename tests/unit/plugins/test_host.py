"""The host loads each plugin under guard: whatever one does wrong, the others work."""

import dataclasses
import logging
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from fake_plugins import RECIPE as GOOD
from fake_plugins import FakePlugins

from aigc_core.errors import PluginError
from aigc_core.plugins import (
    API_VERSION,
    HostOptions,
    InstalledPlugin,
    PluginHost,
    PluginStatus,
    use_options,
)


class World:
    """A folder on ``sys.path`` to write plugins into, and a host that knows none of them yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = PluginHost()

    def plugin(
        self, name: str, code: str, distribution: str | None = None, **more: str
    ) -> InstalledPlugin:
        module = f"toyplugin_{name.replace('-', '_')}_{len(list(self.folder.iterdir()))}"
        (self.folder / f"{module}.py").write_text(textwrap.dedent(code), encoding="utf-8")
        version = "1.2" if distribution else None
        more.setdefault("api_version", str(API_VERSION))
        return InstalledPlugin(name, module, distribution, version, **more)

    def load(
        self, name: str, code: str, distribution: str | None = None, **more: str
    ) -> PluginStatus:
        return self.host.load(self.plugin(name, code, distribution, **more))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    torch = sys.modules.get("torch")
    yield World(tmp_path)
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
    if torch is None:  # some tests put something in its place
        sys.modules.pop("torch", None)


def assert_only_works(world: World, *names: str) -> None:
    """Exactly the plugins of these names are active, with all that they bring."""
    active = [s.name for s in world.host.statuses if s.state == "active"]
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
    assert status.hooks == [f"aigc_register_{k}" for k in ("datasets", "modalities", "recipes")]
    assert (status.error, status.fix, status.warning) == (None, None, None)
    assert world.host.owner("recipe", "good/net") == "good"
    assert_only_works(world, "good")


def test_installed_plugins_are_loaded_in_the_order_of_their_names(world: World) -> None:
    fakes = FakePlugins(world.folder)
    for name in ("b", "c", "a"):
        fakes.add(name, GOOD.format(name), module=f"toyplugin_{name}")
    world.host = PluginHost(HostOptions(only=("a", "b", "c")))
    about_to_load: list[str] = []
    world.host.discover(about_to_load.append)
    assert about_to_load == ["a", "b", "c"]
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
def test_a_broken_plugin_is_reported_and_the_others_work(
    world: World, code: str, error: str
) -> None:
    world.load("good", GOOD.format("good"))
    status = world.load("my-broken", code)
    world.load("later", GOOD.format("later"))
    assert (status.state, status.fix) == ("error", "aigc plugins disable my-broken")
    assert error in (status.error or "")
    assert "\n" not in (status.error or "")
    assert world.host.broken() == [status]
    assert_only_works(world, "good", "later")
    with pytest.raises(PluginError) as caught:
        world.host.recipe("my-broken/net")
    assert str(caught.value) == (
        "The recipe 'my-broken/net' needs the plugin 'my-broken', which could not be loaded. "
        f"{status.what_to_do}"
    )


def test_a_missing_attribute_is_reported(world: World) -> None:
    module = world.plugin("good", GOOD.format("good")).module
    status = world.host.load(InstalledPlugin("x", f"{module}:Missing"))
    assert "has no attribute 'Missing'" in (status.error or "")


def test_an_entry_point_that_is_no_reference_is_reported(world: World) -> None:
    status = world.host.load(InstalledPlugin("x", "not a module!"))
    assert status.error == "Its entry point names 'not a module!', which is no module."


def test_an_error_that_cannot_be_printed_is_reported_all_the_same(world: World) -> None:
    """Paths that are not UTF-8 come as lone surrogates, which a terminal's encoding refuses."""
    status = world.load("lone", r"raise OSError('\udcff and \x1b[31m red')")
    assert status.error is not None
    assert status.error.endswith(r"OSError: \udcff and \x1b[31m red")
    status = world.load("mute", "class E(Exception):\n    def __str__(self): return 1 / 0\nraise E")
    assert (status.error or "").endswith(" failed: E")


def test_what_the_metadata_says_is_wrong_is_reported_and_nothing_is_imported(world: World) -> None:
    status = world.load("good", "1 / 0", "aigc-good", problem="its entry_points.txt is damaged")
    assert status.error == "aigc-good: its entry_points.txt is damaged"
    assert status.fix == "aigc plugins disable good"


def test_a_plugin_for_another_core_is_not_imported(world: World) -> None:
    status = world.load("good", "1 / 0", "aigc-good", api_version="99")
    assert (status.state, status.broken) == ("incompatible", True)
    assert "written for version 99 of the plugin API" in (status.error or "")
    assert status.fix == "pip install --upgrade aigc-core"


def test_files_that_are_gone_are_reported_with_how_to_clean_up(world: World) -> None:
    status = world.host.load(
        InstalledPlugin(
            "x", "toyplugin_gone.sub:plugin", "aigc-x", "1.0", api_version=str(API_VERSION)
        )
    )
    assert status.error == "Its files are gone: there is no module toyplugin_gone."
    assert status.fix == "aigc plugins uninstall aigc-x"


def test_an_editable_installation_whose_folder_is_gone_names_the_folder(world: World) -> None:
    plugin = InstalledPlugin(
        "x",
        "toyplugin_gone",
        "aigc-x",
        "1.0",
        "/home/me/x",
        editable=True,
        api_version=str(API_VERSION),
    )
    status = world.host.load(plugin)
    assert status.error == (
        "Its files are gone: aigc-x was installed from the folder /home/me/x, editable, and no "
        "module toyplugin_gone is there any more."
    )
    assert status.fix == "aigc plugins uninstall aigc-x"


def test_of_its_requirements_those_that_are_not_installed_are_named(world: World) -> None:
    """The missing module may belong to a distribution of another name, or to nobody's."""
    requires = ["numpy", "no-such-yaml[fast]>=2; python_version>'3'", "other; extra=='x'", "!"]
    FakePlugins(world.folder).add("needy", distribution="aigc-needy", requires=requires)
    status = world.load("needy", "import nosuchyaml", "aigc-needy")
    assert "No module named 'nosuchyaml'" in (status.error or "")
    assert status.fix == "pip install 'no-such-yaml>=2'"


def test_torch_imported_while_loading_is_a_warning(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == "torch"]:
        monkeypatch.delitem(sys.modules, name)
    (world.folder / "torch.py").write_text("")
    status = world.load("heavy", "import torch\n" + GOOD.format("heavy"))
    assert status.warning is not None
    assert "imports torch while it is loaded" in status.warning
    assert_only_works(world, "heavy")


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
        f"The plugins 'first' and 'second' both bring the {kind} '{name}'; that of 'first' is "
        "used. Rename one, or choose: aigc plugins disable first, or aigc plugins disable second."
    )
    assert status.fix == "aigc plugins disable second"
    assert (status.modalities, status.datasets, status.recipes) == ([], [], [])
    assert world.host.owner(kind, name) == "first"
    assert_only_works(world, "first")


def test_of_two_distributions_with_one_plugin_name_the_first_stays(world: World) -> None:
    world.load("twin", GOOD.format("twin"), "dist-a")
    status = world.load("twin", GOOD.format("other"), "dist-b")
    assert status.error == (
        "The distributions dist-a and dist-b both bring a plugin named 'twin'; that of dist-a is "
        "used. Disable either of them."
    )
    assert status.fix == "aigc plugins disable dist-b"
    assert [s.distribution for s in world.host.statuses] == ["dist-a", "dist-b"]
    assert_only_works(world, "twin")


def test_of_two_distributions_the_second_is_used_when_the_first_is_switched_off(
    world: World,
) -> None:
    world.host = PluginHost(HostOptions(disabled=("Dist_A",)))
    first = world.load("twin", "1 / 0", "dist-a")
    assert (first.state, first.fix) == ("disabled", "aigc plugins enable Dist_A")
    world.load("twin", GOOD.format("twin"), "dist-b")
    third = world.load("twin", "1 / 0", "dist-c")
    assert "dist-b and dist-c both bring" in (third.error or "")
    assert_only_works(world, "twin")


def test_the_same_metadata_seen_twice_is_one_plugin(world: World) -> None:
    plugin = world.plugin("good", GOOD.format("good"), "aigc-good")
    assert world.host.load(plugin) is world.host.load(plugin)
    assert_only_works(world, "good")


def test_one_module_under_two_names_is_reported(world: World) -> None:
    plugin = world.plugin("good", GOOD.format("good"))
    world.host.load(plugin)
    again = world.host.load(InstalledPlugin("again", plugin.module))
    assert "is registered already, as 'good'" in (again.error or "")
    assert_only_works(world, "good")


# Blocked and strict


@pytest.mark.parametrize(
    ("options", "error", "fix"),
    [
        (HostOptions(none=True), "--no-plugins leaves it out.", "leave --no-plugins out"),
        (HostOptions(not_these=("aigc-x",)), "--no-plugins leaves", "leave --no-plugins out"),
        (HostOptions(without=("x",)), "AIGC_DISABLE_PLUGINS", "unset AIGC_DISABLE_PLUGINS"),
        (HostOptions(only=()), "AIGC_PLUGINS does not name it", "unset AIGC_PLUGINS"),
        (HostOptions(disabled=("x",)), "aigc plugins disable", "aigc plugins enable x"),
    ],
)
def test_a_blocked_plugin_is_listed_and_not_imported(
    world: World, options: HostOptions, error: str, fix: str
) -> None:
    world.host = PluginHost(options)
    status = world.load("x", "1 / 0", "aigc-x", api_version="99", problem="damaged")
    assert (status.state, status.fix, status.broken) == ("disabled", fix, False)
    assert error in (status.error or "")
    with pytest.raises(PluginError, match=r"needs the plugin 'x', which is disabled\. .*" + fix):
        world.host.recipe("x/net")


def discover_strictly(world: World, code: str) -> str:
    FakePlugins(world.folder).add("my", code, module="toyplugin_my")
    world.host = PluginHost(HostOptions(only=("my",), strict=True))
    with pytest.raises(PluginError) as caught:
        world.host.discover()
    return str(caught.value)


def test_strict_makes_an_error_of_a_broken_plugin(world: World) -> None:
    message = discover_strictly(world, "1 / 0")
    assert message.startswith("The plugin 'my' could not be loaded, and --strict makes that an er")
    assert message.endswith("To fix it: aigc plugins disable my")


def test_strict_makes_an_error_of_a_warning(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    code = "import sys, types; sys.modules['torch'] = types.ModuleType('torch')"
    message = discover_strictly(world, code)
    assert message.startswith("The plugin 'my' warns, and --strict makes that an error: toyplugin")


def test_the_options_in_use_are_a_new_host_s(world: World) -> None:
    options = HostOptions(none=True)
    with use_options(options):
        assert PluginHost().options is options
    assert PluginHost().options == HostOptions()


# By name


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
        "Install it with: aigc plugins install aigc-song"
    )


def test_an_installed_plugin_that_is_broken_is_not_said_to_be_missing(world: World) -> None:
    (world.folder / "registry.yaml").write_text(CATALOGUE)
    world.load("song", "import no_such_module", "Aigc_Song")
    with pytest.raises(PluginError, match=r"'song', which could not be loaded\. Importing"):
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


def test_an_idle_twin_leaves_its_name_to_the_active_one(world: World) -> None:
    world.host.options = dataclasses.replace(world.host.options, without=("dist-a",))
    world.load("twin", GOOD.format("other"), "dist-a")
    status = world.load("twin", GOOD.format("twin"), "dist-b")
    assert world.host.status("twin") is status
    assert world.host.statuses[0].state == "disabled"
    assert world.host.owner("recipe", "twin/net") == "twin"
    assert_only_works(world, "twin")


def test_of_twins_the_registry_s_is_loaded_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("registry.yaml").write_text(
        "schema_version: 1\nmodalities: {}\nplugins: {dist-b: {summary: The real one}}\n"
    )
    found = [world.plugin("twin", GOOD.format("twin"), name) for name in ("dist-a", "dist-b")]
    monkeypatch.setattr("aigc_core.plugins.loader.find_installed", lambda: found)
    world.host.discover()
    assert world.host.status("twin").distribution == "dist-b"
    assert world.host.statuses[1].fix == "aigc plugins disable dist-a"


def test_a_class_is_no_plugin(world: World) -> None:
    status = world.load("good", GOOD.format("good") + "\nclass Plugin: ...")
    plugin = sys.modules[status.module]
    host = PluginHost()
    host.register(plugin.Plugin, PluginStatus("x", "x"))
    assert "names the class Plugin; name a module or an instance" in (host.status("x").error or "")


def test_an_async_hook_is_refused(world: World) -> None:
    status = world.load("later", HOOK + "async def aigc_run_finished(run): pass")
    assert status.error == "'aigc_run_finished' is async; hooks of aigc are called plainly."


UNTIDY = {
    "prints": ("print('hello')", None),
    "another folder": ("import os; os.chdir('/')", "the current folder"),
    "ctrl-c": (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)",
        "the handler of SIGINT",
    ),
    "silence": ("import logging; logging.disable(logging.CRITICAL)", "what logging leaves out"),
}


@pytest.mark.parametrize(("code", "changed"), UNTIDY.values(), ids=UNTIDY)
def test_what_a_plugin_changes_while_it_loads_is_undone_and_reported(
    world: World, capsys: pytest.CaptureFixture[str], code: str, changed: str | None
) -> None:
    before = (os.getcwd(), signal.getsignal(signal.SIGINT), logging.root.manager.disable)
    status = world.load("untidy", GOOD.format("untidy") + "\n" + code)
    assert status.state == "active"
    assert before == (os.getcwd(), signal.getsignal(signal.SIGINT), logging.root.manager.disable)
    assert capsys.readouterr().out == ""
    if changed is None:
        assert status.warning is None
    else:
        assert f"changes {changed} while it is loaded; that was undone" in (status.warning or "")


def test_torch_imported_in_a_hook_is_reported(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == "torch"]:
        monkeypatch.delitem(sys.modules, name)
    (world.folder / "torch.py").write_text("")
    code = GOOD.format("heavy").replace("    return [", "    import torch\n    return [")
    status = world.load("heavy", code)
    assert "imports torch while its hooks aigc_register_… are called" in (status.warning or "")

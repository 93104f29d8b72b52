"""Whatever one plugin does wrong, it is named with the way out, and everything else works."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fake_plugins import RECIPE, Done, FakePlugins

TINY = ("--preset", "tiny", "--steps", 2, "--set", "engine.batch_size=4", "--device", "cpu")
TINY += ("--set", "engine.log_every=1", "--quiet")
HOOK = "from aigc_core import ModalitySpec, RecipeSpec, hookimpl\n@hookimpl\n"


@dataclass(frozen=True)
class Broken:
    """One way to be broken, what is reported of it, and the command that fixes it."""

    code: str
    error: str
    fix: str = ""
    state: str = "error"
    more: tuple[tuple[str, Any], ...] = ()


BROKEN = {
    "imports-missing": Broken(
        "import no_such_module",
        "Importing fake_imports_missing failed: ModuleNotFoundError: No module named 'no_such_mod",
        "pip install 'no-such-distribution>=2'",
        more=(("requires", ["no-such-distribution>=2"]),),
    ),
    "no-syntax": Broken("def broken(:", "SyntaxError: "),
    "no-attribute": Broken(
        "",
        "module 'fake_no_attribute' has no attribute 'plugin'",
        more=(("entry_point", "fake_no_attribute:plugin"),),
    ),
    "wrong-type": Broken(
        HOOK + "def aigc_register_recipes(): return {'wrong-type/net': None}",
        "aigc_register_recipes must return a list of RecipeSpec; found dict.",
    ),
    "unknown-hook": Broken(
        HOOK + "def aigc_register_recipe(): return []",
        "There is no hook 'aigc_register_recipe'. Did you mean 'aigc_register_recipes'?",
    ),
    "misspelt-argument": Broken(
        HOOK + "def aigc_run_started(run, confg): pass",
        "The hook 'aigc_run_started' has no argument 'confg'. Did you mean 'config'?",
    ),
    "second": Broken(
        RECIPE.format("second").replace('name="second/net"', 'name="image/dcgan"'),
        "The plugins 'image' and 'second' both bring the recipe 'image/dcgan'; that of 'image' is",
    ),
    "for-newer-core": Broken(
        "1 / 0",
        "aigc-for-newer-core 1.0 needs aigc-core>=99, and aigc-core",
        "pip install --upgrade aigc-core aigc-for-newer-core",
        "incompatible",
        (("requires", ["aigc-core>=99"]),),
    ),
    "for-newer-api": Broken(
        "1 / 0",
        "aigc-for-newer-api 1.0 is written for version 99 of the plugin API, and aigc-core",
        "pip install --upgrade aigc-core",
        "incompatible",
        (("api", "99"),),
    ),
    "moved-away": Broken(
        "",
        "Its files are gone: aigc-moved-away was installed from the folder",
        "aigc plugins uninstall aigc-moved-away",
    ),
    "leaves": Broken("import sys; sys.exit(0)", "Importing fake_leaves failed: SystemExit: 0"),
}


@pytest.fixture(scope="module")
def fakes(tmp_path_factory: pytest.TempPathFactory) -> FakePlugins:
    """All of them at once, and one that works."""
    folder = tmp_path_factory.mktemp("plugins")
    fakes = FakePlugins(folder / "installed")
    fakes.add("good", RECIPE.format("good"))
    for name, broken in BROKEN.items():
        source = folder / "source" if name == "moved-away" else None
        fakes.add(name, broken.code, source=source, **dict(broken.more))
    shutil.rmtree(folder / "source")
    return fakes


@pytest.fixture(scope="module")
def listed(fakes: FakePlugins) -> dict[str, Any]:
    """``aigc plugins list --json`` with all of them."""
    return {row["plugin"]: row for row in fakes.aigc("plugins", "list", "--json").json()}


@pytest.fixture(scope="module")
def recipes(fakes: FakePlugins) -> Done:
    """``aigc recipes`` with all of them."""
    return fakes.aigc("recipes")


@pytest.mark.parametrize("name", BROKEN)
def test_it_is_listed_with_its_error_and_the_command_that_mends_it(
    listed: dict[str, Any], name: str
) -> None:
    row = listed[name]
    assert row["status"] == BROKEN[name].state
    assert BROKEN[name].error in row["error"]
    assert row["fix"] == (BROKEN[name].fix or f"aigc plugins disable {name}")
    assert (row["distribution"], row["version"]) == (f"aigc-{name}", "1.0")
    assert row["recipes"] == row["hooks"] == []


def test_the_table_shows_the_same_and_the_others_are_active(fakes: FakePlugins, listed) -> None:
    done = fakes.aigc("plugins", "list")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    for name, broken in BROKEN.items():
        (reported,) = [line for line in lines if line.startswith(f"{name}: {broken.state}. ")]
        assert reported.endswith(f"To fix it: {listed[name]['fix']}")
        assert broken.error in reported
    assert {name for name, row in listed.items() if row["status"] == "active"} >= {"good", "image"}


def test_other_commands_work_and_warn_with_one_line_for_each(recipes: Done) -> None:
    assert recipes.code == 0
    assert "image/dcgan" in recipes.out
    assert "good/net" in recipes.out
    assert len(recipes.err.splitlines()) == len(recipes.warnings) == len(BROKEN)
    assert "Traceback" not in recipes.err


@pytest.mark.parametrize("name", BROKEN)
def test_the_warning_says_why_and_how_to_mend_it(recipes: Done, listed, name: str) -> None:
    start = f"Warning: The plugin '{name}' could not be loaded. "
    (line,) = [line for line in recipes.warnings if line.startswith(start)]
    assert BROKEN[name].error in line
    assert line.endswith(f"To fix it: {listed[name]['fix']}")


@pytest.mark.parametrize("name", BROKEN)
def test_asked_for_its_own_recipe_it_gives_its_own_cause(fakes: FakePlugins, name: str) -> None:
    done = fakes.aigc("train", f"{name}/net", AIGC_PLUGINS=f"{name},image")
    assert done.code == 2
    error = done.err.splitlines()[-1]
    assert error.startswith(
        f"Error: The recipe '{name}/net' needs the plugin '{name}', which could not be loaded. "
    )
    assert BROKEN[name].error in error


@pytest.mark.parametrize("name", BROKEN)
def test_strict_makes_it_an_error(fakes: FakePlugins, name: str) -> None:
    done = fakes.aigc("recipes", "--strict", AIGC_PLUGINS=f"{name},image")
    assert (done.code, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert line.startswith(f"Error: The plugin '{name}' could not be loaded, and --strict makes")
    assert BROKEN[name].error in line


def test_the_other_plugins_train(fakes: FakePlugins, tmp_path: Path) -> None:
    torch_user = FakePlugins(tmp_path / "more")
    torch_user.add("heavy", "import torch")
    path = os.pathsep.join([str(torch_user.folder), fakes.variables()["PYTHONPATH"]])
    done = fakes.aigc("train", "image/dcgan", *TINY, "--out", "run", "--json", PYTHONPATH=path)
    result = done.json()
    assert (result["status"], result["step"]) == ("complete", 2)
    broken = [line for line in done.warnings if "could not be loaded" in line]
    heavy = [line for line in done.warnings if "fake_heavy imports torch" in line]
    assert (len(broken), len(heavy)) == (len(BROKEN), 1)


def test_one_that_imports_torch_works_and_is_reported(fake_plugins: FakePlugins) -> None:
    """A stand-in for torch, which takes seconds to import: it is known by its name."""
    (fake_plugins.folder / "torch").mkdir(parents=True)
    (fake_plugins.folder / "torch" / "__init__.py").write_text("")
    fake_plugins.add("heavy", "import torch\n" + RECIPE.format("heavy"))
    reported = (
        "fake_heavy imports torch while it is loaded, which makes every command seconds slower."
    )
    done = fake_plugins.aigc("plugins", "list")
    assert done.code == 0
    assert f"heavy: warning. {reported}" in done.out
    done = fake_plugins.aigc("recipes")
    assert done.code == 0
    assert "heavy/net" in done.out
    assert len(done.err.splitlines()) == 1
    assert done.err.startswith(f"Warning: The plugin 'heavy': {reported}")
    done = fake_plugins.aigc("recipes", AIGC_STRICT="1")
    assert done.code == 2
    assert done.err.startswith("Error: The plugin 'heavy' warns, and --strict makes that an erro")


def test_one_that_implements_no_hook_is_reported(fake_plugins: FakePlugins) -> None:
    fake_plugins.add("mute", "def register(): pass")
    done = fake_plugins.aigc("plugins", "list")
    assert "mute: warning. fake_mute implements no hook, so it brings nothing." in done.out
    assert done.code == 0


def test_a_strict_listing_lists_and_fails(fakes: FakePlugins) -> None:
    done = fakes.aigc("plugins", "list", "--strict")
    assert done.code == 2
    assert "image" in done.out
    assert done.err.startswith("Error: Not in order, and --strict makes that an error: ")
    assert all(name in done.err for name in BROKEN)
    good = fakes.aigc("plugins", "list", "--strict", "--json", AIGC_PLUGINS="image")
    assert (good.code, good.err) == (0, "")


# What ends or holds up the process that imports it


def test_those_that_kill_the_process_are_found_by_the_listing_and_can_be_switched_off(
    fake_plugins: FakePlugins,
) -> None:
    fake_plugins.add("good", RECIPE.format("good"))
    fake_plugins.add("exits", "import os; os._exit(0)")
    fake_plugins.add("crashes", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    rows = {row["plugin"]: row for row in fake_plugins.aigc("plugins", "list", "--json").json()}
    assert rows["exits"]["error"] == "Importing it ended the whole process, with exit code 0."
    assert rows["crashes"]["error"] == "Importing it ended the whole process, by SIGSEGV."
    assert rows["good"]["status"] == rows["image"]["status"] == "active"
    for name in ("exits", "crashes"):
        assert rows[name]["fix"] == f"aigc plugins disable {name}"
        assert fake_plugins.aigc("plugins", "disable", name).code == 0
    done = fake_plugins.aigc("recipes")
    assert (done.code, done.err) == (0, "")
    assert "good/net" in done.out


def add_hanging(fakes: FakePlugins) -> FakePlugins:
    fakes.add("good", RECIPE.format("good"))
    fakes.add("hangs", "import time; time.sleep(30)")
    return fakes


@pytest.fixture
def hanging(fake_plugins: FakePlugins) -> FakePlugins:
    return add_hanging(fake_plugins)


@pytest.fixture(scope="module", autouse=True)
def listing_that_waits(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[subprocess.Popen[str], float]]:
    """``aigc plugins list`` with a plugin that hangs; the other tests do not wait for it."""
    fakes = add_hanging(FakePlugins(tmp_path_factory.mktemp("hanging") / "installed"))
    with fakes.start("plugins", "list", "--json") as process:
        yield process, time.monotonic()
        process.terminate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_that_hangs_is_named_and_the_command_can_be_ended(
    hanging: FakePlugins, number: signal.Signals
) -> None:
    done = hanging.aigc_and_signal(number, "Still loading the plugin 'hangs'", "recipes")
    assert done.code == 128 + number
    assert done.seconds < 5
    assert "aigc plugins disable hangs" in done.err
    assert "Traceback" not in done.err
    assert ("Interrupted." in done.err) is (number == signal.SIGINT)


def test_the_listing_does_not_wait_long_for_one_that_hangs(listing_that_waits) -> None:
    process, begin = listing_that_waits
    out, err = process.communicate(timeout=max(1.0, begin + 20 - time.monotonic()))
    rows = {row["plugin"]: row for row in json.loads(out)}
    assert process.returncode == 0
    assert err == "Warning: Waiting for the plugin 'hangs' to load. Ctrl-C ends this.\n"
    assert rows["hangs"]["error"] == "Importing it takes longer than 10 seconds."
    assert rows["hangs"]["fix"] == "aigc plugins info hangs"
    assert rows["good"]["status"] == "active"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_listing_can_be_ended_and_leaves_no_process(
    hanging: FakePlugins, number: signal.Signals
) -> None:
    note = hanging.folder / "pid"
    hanging.add("early", f"import os; open({str(note)!r}, 'w').write(str(os.getpid()))")
    done = hanging.aigc_and_signal(number, "Waiting for the plugin 'hangs'", "plugins", "list")
    assert done.code == 128 + number
    assert done.seconds < 5
    assert "Traceback" not in done.err
    assert not Path(f"/proc/{note.read_text()}").exists()


def test_one_that_hangs_can_be_switched_off_at_once(hanging: FakePlugins) -> None:
    assert hanging.aigc("plugins", "disable", "hangs").seconds < 5
    done = hanging.aigc("recipes")
    assert (done.code, done.err) == (0, "")
    assert done.seconds < 5


# Hooks that are called later


@pytest.fixture
def observer(fake_plugins: FakePlugins, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A plugin whose observer raises, installed for this process."""
    raising = "def aigc_metrics_logged(step): raise RuntimeError(f'no plot of step {step}')"
    fake_plugins.add("plots", HOOK + raising)
    monkeypatch.syspath_prepend(fake_plugins.folder)
    monkeypatch.setenv("AIGC_PLUGINS", "image,plots")  # a choice of its own makes a host of its own
    yield
    sys.modules.pop("fake_plots", None)


def test_an_observer_that_raises_is_named_once_and_the_training_goes_on(
    observer: None, aigc
) -> None:
    done = aigc("train", "image/dcgan", *TINY, "--out", "run", "--json")
    assert done.code == 0
    assert json.loads(done.out)["status"] == "complete"
    assert done.err == (
        "Warning: The plugin 'plots' failed in aigc_metrics_logged and is switched off for this "
        "run: RuntimeError: no plot of step 1\n"
    )


@pytest.mark.parametrize("strict", ["option", "variable"])
def test_an_observer_that_raises_ends_a_strict_training(
    observer: None, aigc, monkeypatch: pytest.MonkeyPatch, strict: str
) -> None:
    if strict == "variable":
        monkeypatch.setenv("AIGC_STRICT", "1")
    options = ["--strict"] if strict == "option" else []
    done = aigc("train", "image/dcgan", *TINY, "--out", "run", *options)
    assert done.code == 2
    assert done.err == (
        "Error: The plugin 'plots' failed in aigc_metrics_logged, and --strict makes that an "
        "error: RuntimeError: no plot of step 1\n"
    )
    assert (Path("run") / "config.yaml").exists()


def test_an_observer_that_fails_at_the_end_does_not_hide_why_the_training_ended(
    fake_plugins: FakePlugins, aigc, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_plugins.add("late", HOOK + "def aigc_run_finished(): raise RuntimeError('no mail')")
    monkeypatch.syspath_prepend(fake_plugins.folder)
    monkeypatch.setenv("AIGC_PLUGINS", "image,late")
    done = aigc("train", "image/dcgan", *TINY, "--out", "good", "--strict")
    assert done.code == 2
    assert "failed in aigc_run_finished, and --strict makes that an error" in done.err

    def exhausted(self: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("aigc_core.engine.Engine.fit", exhausted)
    done = aigc("train", "image/dcgan", *TINY, "--out", "bad", "--strict")
    assert done.code == 1
    assert done.err.startswith("Error: Out of memory at step 0")
    sys.modules.pop("fake_late", None)


@pytest.mark.parametrize(
    "code", ["1 / 0", "import sys; sys.exit(7)", "app.command()(lambda: 0)(5)"]
)
def test_one_that_fails_to_extend_the_command_line_is_reported_and_the_command_runs(
    fake_plugins: FakePlugins, code: str
) -> None:
    fake_plugins.add("cli", HOOK + f"def aigc_extend_cli(app): {code}")
    done = fake_plugins.aigc("recipes")
    assert done.code == 0
    assert "image/dcgan" in done.out
    assert len(done.err.splitlines()) == 1
    assert done.err.startswith("Warning: The plugin 'cli' failed in aigc_extend_cli")


COMMAND = (
    HOOK
    + """def aigc_extend_cli(app):
    @app.command()
    def {0}: print("from the plugin")
    {1}
"""
)


@pytest.mark.parametrize(
    ("command", "after", "reported"),
    [
        ("hello(y: int | str = 3)", "", "AssertionError: Typer currently doesn't support Union"),
        ("recipes()", "", "There is already a command 'recipes': it belongs to aigc itself."),
        ("recipes()", "raise RuntimeError('no')", "RuntimeError: no"),
        ("hello(strict: bool = False)", "", "has an option --strict, which is aigc's own"),
    ],
)
def test_a_command_that_cannot_be_is_left_out_and_the_others_are_as_they_were(
    fake_plugins: FakePlugins, command: str, after: str, reported: str
) -> None:
    fake_plugins.add("cli", COMMAND.format(command, after))
    done = fake_plugins.aigc("recipes", "--json")
    assert done.code == 0
    assert "image/dcgan" in {recipe["recipe"] for recipe in done.json()}
    (line,) = done.err.splitlines()
    assert line.startswith("Warning: The plugin 'cli' failed in aigc_extend_cli, and its commands")
    assert reported in line
    assert fake_plugins.aigc("recipes", "--strict").code == 2


def test_commands_of_plugins_work_and_keep_their_own_options(fake_plugins: FakePlugins) -> None:
    fake_plugins.add("cli", COMMAND.format("hello(version: bool = False)", ""))
    fake_plugins.add("cli-two", COMMAND.format("hello()", ""))
    done = fake_plugins.aigc("hello", "--version")
    assert (done.code, done.out) == (0, "from the plugin\n")
    (line,) = done.err.splitlines()
    assert "'cli-two' failed" in line
    assert "There is already a command 'hello': it belongs to the plugin 'cli'." in line


def test_a_folder_that_is_there_without_the_module_is_no_leftover(
    fake_plugins: FakePlugins, tmp_path: Path
) -> None:
    fake_plugins.add("misspelt", "", entry_point="fake_mispelt", source=tmp_path / "source")
    done = fake_plugins.aigc("plugins", "list")
    assert f"The folder {tmp_path / 'source'} holds no module fake_mispelt" in done.out
    assert f"To fix it: pip install -e {tmp_path / 'source'}" in done.out


def test_what_a_plugin_asked_for_lacks_is_said_once(fake_plugins: FakePlugins) -> None:
    fake_plugins.add("broken", "import no_such_module")
    done = fake_plugins.aigc("train", "broken/net")
    assert done.code == 2
    assert len(done.err.splitlines()) == 1


def test_a_field_that_no_spec_has_gets_the_nearest(fake_plugins: FakePlugins) -> None:
    fake_plugins.add("typo", RECIPE.format("typo").replace("summary=", "sumary=", 1))
    done = fake_plugins.aigc("plugins", "list")
    assert "has no setting 'sumary'. Did you mean 'summary'?" in done.out


def test_an_empty_list_says_why(fake_plugins: FakePlugins) -> None:
    done = fake_plugins.aigc("recipes", "--no-plugins")
    assert re.fullmatch(
        r"There is nothing to train \(not active: .*image.*\). See: aigc plugins list\n", done.err
    )


def test_samples_in_another_form_than_declared_are_reported_before_the_first_step(
    aigc, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aigc_image.modality import ImageModality

    monkeypatch.setattr(ImageModality, "to_model", lambda self, stored: stored.float()[:, 0])
    done = aigc("train", "image/dcgan", *TINY, "--out", "run")
    assert done.code == 2
    assert "gives networks torch.float32 of the shape (2, 32, 32), and declares" in done.err
    assert not Path("run").exists()


def test_what_a_plugin_prints_is_no_part_of_the_answer(fake_plugins: FakePlugins) -> None:
    fake_plugins.add("loud", "print('loaded')\n" + RECIPE.format("loud"))
    done = fake_plugins.aigc("recipes", "--json")
    assert {"image/dcgan", "loud/net"} <= {row["recipe"] for row in done.json()}
    assert done.err == "loaded\n"


def test_a_disabled_twin_does_not_keep_runs_from_going_on(fake_plugins: FakePlugins) -> None:
    fake_plugins.add("image", RECIPE.format("other"), distribution="aaa-image")
    fake_plugins.aigc("plugins", "disable", "aaa-image")
    assert fake_plugins.aigc("train", "image/dcgan", *TINY, "--out", "run").code == 0
    needs = json.loads(Path("run/environment.json").read_text())["needs"]
    assert needs["recipe"]["distribution"] == "aigc-image"
    done = fake_plugins.aigc("generate", "run", "--count", "1")
    assert done.code == 0, done.err


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_answers_whatever_is_broken(fake_plugins: FakePlugins, option: str) -> None:
    (fake_plugins.folder.parent / "config").mkdir(exist_ok=True)
    (fake_plugins.folder.parent / "config" / "plugins.yaml").write_text("- x")
    assert fake_plugins.aigc(option).code == 0
    assert fake_plugins.aigc("recipes").code == 2


# Blocked: its module is not imported, by no process


@pytest.fixture
def marked(fake_plugins: FakePlugins) -> FakePlugins:
    """One that notes that it was imported."""
    code = f"open({str(fake_plugins.folder / 'imported')!r}, 'a').write('x')\n"
    fake_plugins.add("marked", code + RECIPE.format("marked"))
    fake_plugins.add("good", RECIPE.format("good"))
    return fake_plugins


def was_imported(fakes: FakePlugins) -> bool:
    return (fakes.folder / "imported").exists()


def test_the_mark_can_be_seen(marked: FakePlugins) -> None:
    assert "marked/net" in marked.aigc("recipes").out
    assert was_imported(marked)


@pytest.mark.parametrize(
    ("options", "variables", "fix"),
    [
        ((), {"AIGC_PLUGINS": "good, image"}, "unset AIGC_PLUGINS"),
        ((), {"AIGC_PLUGINS": ""}, "unset AIGC_PLUGINS"),
        ((), {"AIGC_DISABLE_PLUGINS": "aigc-marked"}, "unset AIGC_DISABLE_PLUGINS"),
        (("--no-plugins",), {}, "leave --no-plugins out"),
        (("--no-plugins=marked,image",), {}, "leave --no-plugins out"),
    ],
)
def test_what_is_blocked_is_listed_and_never_imported(
    marked: FakePlugins, options: tuple[str, ...], variables: dict[str, str], fix: str
) -> None:
    rows = marked.aigc("plugins", "list", "--json", *options, **variables).json()
    states = {row["plugin"]: (row["status"], row["fix"]) for row in rows}
    assert states["marked"] == ("disabled", fix)
    all_are = variables.get("AIGC_PLUGINS") == "" or options == ("--no-plugins",)
    assert states["good"] == (("disabled", fix) if all_are else ("active", None))
    done = marked.aigc("train", "marked/net", *options, **variables)
    assert done.code == 2
    assert "needs the plugin 'marked', which is disabled." in done.err
    assert fix in done.err
    assert not was_imported(marked)


def test_what_is_switched_off_stays_off_until_it_is_switched_on(marked: FakePlugins) -> None:
    assert marked.aigc("plugins", "disable", "aigc-marked").out == (
        "marked is disabled. Again: aigc plugins enable marked\n"
    )
    assert "marked/net" not in marked.aigc("recipes").out
    assert not was_imported(marked)
    done = marked.aigc("train", "marked/net")
    assert (done.code, was_imported(marked)) == (2, False)
    assert "To fix it: aigc plugins enable marked" in done.err
    assert marked.aigc("plugins", "enable", "Aigc_Marked").out == "marked is enabled.\n"
    assert not was_imported(marked)
    assert "marked/net" in marked.aigc("recipes").out


def test_removing_imports_nothing(marked: FakePlugins) -> None:
    marked.add_pip(
        """
        import glob, shutil
        for folder in glob.glob(__file__.rsplit('/', 2)[0] + '/aigc_marked*.dist-info'):
            shutil.rmtree(folder)
        """
    )
    done = marked.aigc("plugins", "uninstall", "marked")
    assert (done.code, done.out) == (0, "Removed: aigc-marked.\n")
    assert not was_imported(marked)


@pytest.mark.parametrize("arguments", [("--version",), ("plugins", "--help")])
def test_what_must_always_work_imports_nothing(
    marked: FakePlugins, arguments: tuple[str, ...]
) -> None:
    assert marked.aigc(*arguments).code == 0
    assert not was_imported(marked)

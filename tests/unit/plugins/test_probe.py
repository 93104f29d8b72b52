"""What each plugin brings is found out in a child process, whatever it does to that."""

import sys
import time

import pytest
from fake_plugins import RECIPE, FakePlugins

from aigc_core import _child
from aigc_core.errors import PluginError
from aigc_core.plugins import HostOptions, PluginStatus
from aigc_core.plugins import probe as module
from aigc_core.plugins.probe import probe_plugins

GOOD = RECIPE.format("good")


@pytest.fixture
def fakes(fake_plugins: FakePlugins, monkeypatch: pytest.MonkeyPatch) -> FakePlugins:
    """Plugins that this process and its children find, and no others."""
    fake_plugins.add("good", GOOD)
    monkeypatch.syspath_prepend(fake_plugins.folder)
    for name, value in fake_plugins.variables().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AIGC_DISABLE_PLUGINS", "audio,image,points")
    return fake_plugins


def probe(options: HostOptions | None = None) -> dict[str, PluginStatus]:
    found = probe_plugins(options)
    ours = ("audio", "image", "joint", "point-cloud", "points", "serve", "text", "video")
    statuses = {s.name: s for s in found if s.name not in ours}
    assert len({(s.name, s.distribution) for s in found}) == len(found), "one is there twice"
    return statuses


def test_it_tells_what_a_host_would_and_imports_nothing_here(fakes: FakePlugins) -> None:
    before = set(sys.modules)
    good = probe()["good"]
    assert (good.state, good.recipes, good.version) == ("active", ["good/net"], "1.0")
    assert not {m for m in set(sys.modules) - before if m.startswith("fake_")}


KILLERS = {
    "exits": ("import os; os._exit(3)", "Importing it ended the whole process, with exit code 3."),
    "leaves": ("import os; os._exit(0)", "Importing it ended the whole process, with exit code 0."),
    "crashes": (
        "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "Importing it ended the whole process, by SIGSEGV.",
    ),
}


def test_plugins_that_end_the_process_are_found_and_the_others_work(fakes: FakePlugins) -> None:
    for name, (code, _) in KILLERS.items():
        fakes.add(name, code)
    statuses = probe()
    assert sorted(statuses) == sorted([*KILLERS, "good"])
    for name, (_, error) in KILLERS.items():
        assert (statuses[name].state, statuses[name].error) == ("error", error)
        assert statuses[name].fix == f"aigc plugins disable {name}"
    assert statuses["good"].recipes == ["good/net"]


def test_a_plugin_that_hangs_is_named_and_given_up(
    fakes: FakePlugins,
    monkeypatch: pytest.MonkeyPatch,
    log_of_aigc: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, "NOTICE_AFTER_S", 0.3)
    monkeypatch.setattr(module, "GIVE_UP_AFTER_S", 0.6)
    fakes.add("hangs", "import time; time.sleep(30)")
    begin = time.monotonic()
    statuses = probe()
    assert time.monotonic() - begin < 15
    assert statuses["hangs"].state == "error"
    assert statuses["hangs"].error == "Importing it takes longer than 1 seconds."
    assert statuses["hangs"].fix == "aigc plugins info hangs"
    assert log_of_aigc.messages == ["Waiting for the plugin 'hangs' to load. Ctrl-C ends this."]
    assert statuses["good"].state == "active"


def test_who_is_patient_learns_that_a_slow_plugin_works(
    fakes: FakePlugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "NOTICE_AFTER_S", 0.1)
    monkeypatch.setattr(module, "GIVE_UP_AFTER_S", 0.5)
    fakes.add("slow", "import time; time.sleep(2)\n" + RECIPE.format("slow"))
    assert probe()["slow"].state == "error"
    (slow,) = (s for s in probe_plugins(patient=True) if s.name == "slow")
    assert (slow.state, slow.recipes) == ("active", ["slow/net"])


def test_a_plugin_that_hangs_for_long_is_to_be_disabled(
    fakes: FakePlugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "NOTICE_AFTER_S", 0.1)
    monkeypatch.setattr(module, "PATIENT_S", 15)
    fakes.add("hangs", "import time; time.sleep(60)")
    (hangs,) = (s for s in probe_plugins(patient=True) if s.name == "hangs")
    assert hangs.error == "Importing it takes longer than 15 seconds."
    assert hangs.fix == "aigc plugins disable hangs"


def test_a_plugin_that_closes_all_files_and_hangs_is_given_up(
    fakes: FakePlugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nothing more to read, as of a process that has ended, and it has not."""
    monkeypatch.setattr(module, "END_S", 0.5)
    fakes.add("closes", "import os, time; os.closerange(0, 256); time.sleep(1000)")
    statuses = probe()
    assert statuses["closes"].error == (
        "The process in which it is imported closed its output and went on, and was given up "
        "after 0 seconds."
    )
    assert statuses["good"].state == "active"


def test_a_python_that_does_not_come_to_the_first_plugin_is_reported(
    fakes: FakePlugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fakes.folder / "sitecustomize.py").write_text("import time; time.sleep(30)")
    monkeypatch.setattr(module, "PATIENT_S", 1)
    with pytest.raises(PluginError, match=r"did not come to the first of them in 1 seconds\. See"):
        probe_plugins()


def test_a_process_that_a_plugin_leaves_behind_does_not_hold_it_up(
    fakes: FakePlugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the pipe open, so that there is no end of it to be read."""
    monkeypatch.setattr(module, "NOTICE_AFTER_S", 0.5)
    monkeypatch.setattr(module, "GIVE_UP_AFTER_S", 1.5)
    fakes.add("forks", "import os, time\nif os.fork() == 0:\n    time.sleep(30)\n    os._exit(0)")
    fakes.add("last", "import os; os._exit(3)")
    begin = time.monotonic()
    statuses = probe()
    assert time.monotonic() - begin < 25
    assert statuses["forks"].state == "active"
    assert statuses["last"].state == "error"


def test_what_plugins_print_and_what_threads_they_leave_does_not_matter(fakes: FakePlugins) -> None:
    fakes.add(
        "noisy",
        """
        import os, sys, threading, time
        print('{"statuses": []}')
        os.write(1, b"{}\\n")
        sys.__stdout__.write("x" * 100_000)
        threading.Thread(target=time.sleep, args=(30,)).start()
        """,
    )
    begin = time.monotonic()
    assert probe()["noisy"].state == "active"
    assert time.monotonic() - begin < 15


def test_of_two_with_one_name_the_one_that_crashes_is_reported(fakes: FakePlugins) -> None:
    fakes.add("twin", "import os; os._exit(3)", distribution="dist-a", module="fake_a")
    fakes.add("twin", "", distribution="dist-b", module="fake_b")
    errors = {s.distribution: s.error for s in probe_plugins() if s.name == "twin"}
    assert "with exit code 3" in (errors["dist-a"] or "")
    assert errors["dist-b"] is None  # the other is not active, so it may be


def test_options_reach_the_child(fakes: FakePlugins) -> None:
    fakes.add("bad", "import os; os._exit(3)")
    statuses = probe(HostOptions(only=("good",)))
    assert (statuses["good"].state, statuses["bad"].state) == ("active", "disabled")
    statuses = probe(HostOptions(not_these=("bad",), without=("good",)))
    assert (statuses["good"].state, statuses["bad"].state) == ("disabled", "disabled")


def test_strictness_is_for_other_commands(fakes: FakePlugins) -> None:
    fakes.add("bad", "1 / 0")
    assert probe(HostOptions(strict=True))["bad"].state == "error"


def test_a_misspelt_name_is_reported_before_anything_is_started(
    fakes: FakePlugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_attempt", None)
    with pytest.raises(PluginError, match=r"'godo'.* Did you mean 'good'\?"):
        probe_plugins(HostOptions(not_these=("godo",)))


def test_a_python_that_does_not_start_is_reported(
    fakes: FakePlugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    with pytest.raises(
        PluginError, match=r"ended before the first of them, with exit code 1\. See"
    ):
        probe_plugins()


def test_a_child_that_is_asked_nothing_loads_nothing(fakes: FakePlugins, tmp_path) -> None:
    """One that is started early may not be needed: `aigc plugins list --help`."""
    fakes.add("noted", f"import pathlib; pathlib.Path({str(tmp_path / 'loaded')!r}).touch()")
    child = _child.take()
    assert child.communicate(timeout=60)[0] == ""
    assert child.returncode == 0
    assert not (tmp_path / "loaded").exists()
    probe()
    assert (tmp_path / "loaded").exists()


def test_no_process_is_left(fakes: FakePlugins, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    class Popen(module.subprocess.Popen):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)
            started.append(self)

    monkeypatch.setattr(module.subprocess, "Popen", Popen)
    fakes.add("bad", "import os; os._exit(3)")
    probe()
    assert len(started) == 2
    assert all(process.returncode is not None for process in started)

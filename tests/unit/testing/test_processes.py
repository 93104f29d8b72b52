"""What only a process of its own can tell, checked with real ones."""

import os
import sys
from pathlib import Path

import dots
import pytest
from broken_dots import (
    hash_order,
    heavy,
    heavy_commands,
    heavy_hook,
    noisy,
    odd_commands,
    processes,
)
from dots_variants import dots_with, failed, results_of

from aigc_core.testing import tmp_plugin
from aigc_core.testing.process import ask
from aigc_core.testing.runner import Runner


def message_of(check: str, module: object, name: str = "variant") -> str | None:
    """What a check finds wrong with a plugin, or None."""
    with tmp_plugin(module, name) as host, Runner(host, name) as runner:
        assert host.status(name).error is None
        item = next(item for item in runner.planned if item.check.name == check)
        return runner.attempt(item)[0]


def light_import_of(module: object) -> str | None:
    return message_of("light-import", module)


def test_light_imports_pass() -> None:
    assert light_import_of(dots) is None


def test_options_that_import_torch() -> None:
    message = light_import_of(heavy)
    assert message is not None
    assert message.startswith(
        "broken_dots.heavy_settings:RingOptions (options of the dataset ring) imports torch"
    )


def test_a_name_that_imports_torch_when_it_is_asked_for(tmp_path: Path) -> None:
    references = ["aigc_core", "aigc_core:AdversarialConfig", "aigc_core:Engine"]
    answers = ask.ask("imports", tmp_path, references=references, entry=None)
    assert [answers[reference]["torch"] for reference in references] == [False, False, True]


def test_commands_that_import_torch() -> None:
    message = light_import_of(heavy_commands)
    assert message is not None
    assert message.startswith("aigc_extend_cli (making its commands) imports torch")


def test_a_hook_that_imports_torch_is_named() -> None:
    message = light_import_of(heavy_hook)
    assert message is not None
    assert message.startswith(
        "aigc_register_recipes (called whenever the plugin is loaded) imports torch"
    )


def test_commands_that_typer_cannot_make() -> None:
    message = light_import_of(odd_commands)
    assert message is not None
    assert message.startswith(
        "In a fresh process, aigc_extend_cli (making its commands) cannot be loaded: "
        "AssertionError: "
    )
    assert "support Union types" in message


OWN = "broken_dots.noisy (the plugin's own module)"


@pytest.mark.parametrize(
    ("how", "reported"),
    [
        ("prints", f"{OWN} prints on standard output ('welcome to noisy')"),
        ("writes", f"{OWN} prints on standard output ('welcome from C')"),
        ("folder", f"{OWN} changes the current folder"),
        ("signals", f"{OWN} changes what Ctrl-C does and changes what SIGTERM does"),
        ("logging", f"{OWN} switches logging off or on"),
        ("environment", f"{OWN} changes the environment (NOISY_WAS_HERE)"),
        ("hook", "aigc_register_datasets (called whenever the plugin is loaded) prints"),
        ("commands", "aigc_extend_cli (making its commands) prints"),
        ("torch", None),
        ("", None),
    ],
)
def test_what_a_plugin_changes_while_it_loads(
    how: str, reported: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOISY", how)
    message = message_of("quiet-import", noisy)
    if reported is None:
        assert message is None
    else:
        assert message is not None
        assert message.startswith(reported)


def test_data_in_an_order_that_differs_between_processes() -> None:
    assert message_of("loads", hash_order) == (
        "The split 'train' differs in another process: 'label_names' is not the same. Look for an "
        "order that is not kept, such as that of a set or of a folder's files."
    )


def test_a_module_that_no_other_process_finds() -> None:
    message = light_import_of(dots_with())
    assert message is not None
    assert "variant (the plugin's own module) cannot be loaded" in message
    assert "No module named 'variant'" in message


def test_an_object_is_no_module() -> None:
    class Plugin:
        aigc_register_modalities = staticmethod(dots.aigc_register_modalities)

    message = light_import_of(Plugin())
    assert message is not None
    assert "registered as an object" in message


def test_what_differs_between_processes_and_what_is_written_beside_the_run() -> None:
    problems = failed(results_of(processes))
    assert set(problems) == {"spawned-process", "writes-only-in-its-folder"}
    assert "'generator.layers.0.bias'" in problems["spawned-process"]
    written = problems["writes-only-in-its-folder"]
    assert "built-by.txt (open, from " in written
    assert f"{Path(processes.__file__)}, line " in written


def test_a_process_that_ends_is_reported_and_what_it_had_found_is_kept(tmp_path: Path) -> None:
    references = ["dots.settings:NetConfig", "broken_dots.exits", "dots"]
    answers = ask.ask("imports", tmp_path, references=references, entry=None)
    assert answers["dots.settings:NetConfig"] == {"torch": False, "disturbs": []}
    assert set(answers) == {"dots.settings:NetConfig", ""}
    assert answers[""] == {"error": "The process ended with code 3: goodbye"}


def test_a_process_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "TIMEOUT_S", 0.01)
    answers = ask.ask("imports", tmp_path, references=["dots"], entry=None)
    assert answers == {"": {"error": "The process was still at work after 0 seconds."}}


def test_the_process_has_a_temporary_folder_of_its_own(tmp_path: Path) -> None:
    before = dict(os.environ), list(sys.path)
    ask.ask("imports", tmp_path, references=[], entry=None)
    assert (tmp_path / "tmp").is_dir()
    assert (dict(os.environ), list(sys.path)) == before

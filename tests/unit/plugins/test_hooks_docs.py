"""``docs/hooks.md`` describes every hook as it is, and its examples work."""

import inspect
import re
import types
from pathlib import Path

import pluggy
import pytest
import typer
from conftest import QUICK
from typer.testing import CliRunner

from aigc_core import train
from aigc_core.cli.extend import add_plugin_commands
from aigc_core.plugins import (
    HostOptions,
    PluginHost,
    PluginStatus,
    hookspecs,
    use_host,
    use_options,
)
from aigc_core.plugins.hooks import check_hooks

TEXT = (Path(__file__).parents[3] / "docs" / "hooks.md").read_text(encoding="utf-8")
SECTIONS = dict(
    re.findall(r"^### `(\w+)`\n(.*?)(?=^### |^## |\Z)", TEXT, flags=re.DOTALL | re.MULTILINE)
)
HOOKS = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("aigc_")}
REGISTER = {
    "aigc_register_modalities": "modalities",
    "aigc_register_datasets": "datasets",
    "aigc_register_recipes": "recipes",
    "aigc_register_metrics": "metrics",
}
OBSERVERS = [name for name in HOOKS if name not in REGISTER and name != "aigc_extend_cli"]


def parameters(name: str) -> list[str]:
    return list(inspect.signature(HOOKS[name]).parameters)


def example(name: str) -> types.ModuleType:
    """Execute a hook's example as a plugin's module."""
    (source,) = re.findall(
        r"<!-- test: example -->\n```python\n(.*?)```", SECTIONS[name], re.DOTALL
    )
    module = types.ModuleType(f"example_of_{name}")
    exec(compile(source, f"docs/hooks.md, {name}", "exec"), vars(module))  # the document's own
    return module


def test_every_hook_is_described_and_nothing_else_is() -> None:
    assert set(SECTIONS) == set(HOOKS)


def test_the_number_of_hooks_is_right() -> None:
    words = {10: "ten", 11: "eleven", 12: "twelve"}
    assert f"There are {words[len(HOOKS)]} hooks." in TEXT


@pytest.mark.parametrize("name", HOOKS)
def test_the_signature_is_the_hook_s(name: str) -> None:
    signature = str(inspect.signature(HOOKS[name])).replace("'", "")
    assert f"\n```\n{name}{signature}\n```\n" in SECTIONS[name]


@pytest.mark.parametrize("name", HOOKS)
def test_everything_that_one_asks_is_answered(name: str) -> None:
    labels = re.findall(r"^- \*\*(.+?):?\*\*", SECTIONS[name], re.MULTILINE)
    assert labels == ["Called", "By", "Arguments", "Who", "If it raises"]


@pytest.mark.parametrize("name", HOOKS)
def test_every_argument_is_described_in_order_and_no_other(name: str) -> None:
    (text,) = re.findall(r"- \*\*Arguments:\*\*(.*?)\n- \*\*", SECTIONS[name], re.DOTALL)
    described = re.findall(r"(?:^|; ) ?`(\w+)`", " ".join(text.split()))
    assert described == parameters(name)
    if not parameters(name):
        assert text.strip() == "none."


@pytest.mark.parametrize("name", HOOKS)
def test_the_example_implements_its_hook_and_passes_the_check(name: str) -> None:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    module = example(name)
    check_hooks(manager, module)
    manager.register(module)
    assert [caller.name for caller in manager.get_hookcallers(module) or ()] == [name]


@pytest.mark.parametrize("name", REGISTER)
def test_what_the_example_brings_is_registered(name: str) -> None:
    host, status = PluginHost(), PluginStatus("example", "example")
    host.register(example(name), status)
    assert (status.state, status.error, status.hooks) == ("active", None, [name])
    (brought,) = getattr(status, REGISTER[name])
    assert brought in getattr(host, REGISTER[name])


def test_the_example_of_a_command_is_one() -> None:
    host = PluginHost()
    host.register(example("aigc_extend_cli"), PluginStatus("example", "example"))
    app = typer.Typer()
    app.command()(lambda: None)
    host.options = HostOptions(strict=True)
    add_plugin_commands(app, host)
    done = CliRunner().invoke(app, ["hello", "--name", "reader"])
    assert (done.exit_code, done.output) == (0, "Hello, reader.\n")


def test_the_observers_of_the_examples_watch_a_training(tmp_path: Path) -> None:
    host = PluginHost(HostOptions(only=("image",)))
    host.discover()
    for name in OBSERVERS:
        status = PluginStatus(name, name)
        host.register(example(name), status)
        assert status.error is None
    with use_host(host), use_options(HostOptions(strict=True)):  # one that raises is an error
        run = train("image/dcgan", dataset="digits", overrides=QUICK, out=tmp_path / "run")
    read = {path.name: path.read_text() for path in run.path.glob("*.txt")}
    assert read["note.txt"] == "image/dcgan from step 0, batches of 16"
    assert [line.split()[0] for line in read["losses.txt"].splitlines()] == ["2", "4", "6"]
    assert "loss/generator" in read["losses.txt"]
    assert read["sizes.txt"].startswith("step 6: ")
    assert read["complete.txt"] == "at step 6\n"
    assert (run.path / "newest.png").read_bytes() == run.latest_preview.read_bytes()

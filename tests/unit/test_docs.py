"""The documentation names everything that is public, and says what is true."""

import ast
import importlib
import importlib.util
import inspect
import re
from pathlib import Path

import pytest

import aigc_core

ROOT = Path(aigc_core.__file__).parents[1]
DOCS = ROOT / "docs"
PACKAGES = [
    "aigc_core", "aigc_core.datasets", "aigc_core.losses", "aigc_core.networks", "aigc_core.notes",
    "aigc_core.serving", "aigc_core.testing",
]  # fmt: skip

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="only a checkout has its docs")


def public_names() -> list[str]:
    found = []
    for package in PACKAGES:
        names = importlib.import_module(package).__all__
        found += [f"{package}.{name}" for name in names if name != "__version__"]
    return found


def in_the_reference() -> list[str]:
    pages = (path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("api/*.md")))
    return [name for page in pages for name in re.findall(r"^::: (\S+)$", page, re.MULTILINE)]


def test_the_reference_holds_every_public_name_once_and_no_other() -> None:
    assert sorted(in_the_reference()) == sorted(public_names())


@pytest.mark.parametrize("name", public_names())
def test_what_is_public_has_a_docstring(name: str) -> None:
    package, _, last = name.rpartition(".")
    found = getattr(importlib.import_module(package), last)
    if inspect.isclass(found) or inspect.isfunction(found):
        assert (found.__doc__ or "").strip(), f"{name} has no docstring"


def test_the_table_of_models_is_that_of_the_plugins() -> None:
    from aigc_core.plugins import get_host, load_catalogue

    own = {name for plugin in load_catalogue().plugins.values() for name in plugin.recipes}
    if set(get_host().recipes) != own:
        pytest.skip("other plugins are installed, or not all")
    spec = importlib.util.spec_from_file_location("models", DOCS / "models.py")
    models = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(models)
    written = (DOCS / "models.md").read_text(encoding="utf-8")
    assert written == models.page(), "run: python docs/models.py > docs/models.md"


@pytest.mark.parametrize("page", ["python.md", "tutorial.md", "tasks.md"])
def test_examples_in_python_are_python(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    for example in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        tree = ast.parse(example)
        used = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)
                and isinstance(n.value, ast.Name) and n.value.id == "aigc_core"}  # fmt: skip
        assert used <= set(aigc_core.__all__), used - set(aigc_core.__all__)


PAGES = (
    "index", "tutorial", "tasks", "platforms", "gpu", "data", "serving", "distributed", "export",
    "report", "made-by",
)  # fmt: skip


@pytest.mark.parametrize("page", [f"{name}.md" for name in PAGES])
def test_commands_and_their_options_are_there(page: str) -> None:
    """Every `aigc` command line in the text names a command that exists, with options it has."""
    from typer.main import get_command

    from aigc_core.cli.extend import add_plugin_commands
    from aigc_core.cli.main import make_app
    from aigc_core.plugins import get_host

    app = make_app()
    add_plugin_commands(app, get_host())
    program = get_command(app)
    text = (DOCS / page).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for block in re.findall(r"```(?:ba)?sh\n(.*?)```", text, re.DOTALL)
             for line in block.splitlines() if line.startswith("aigc ")]  # fmt: skip
    for line in lines:
        command, words = program, line.split("#")[0].split()[1:]
        while words and hasattr(command, "get_command"):
            inner = command.get_command(None, words[0])
            if inner is None:
                break
            command, words = inner, words[1:]
        assert command is not program, line
        known = {option for parameter in command.params for option in parameter.opts}
        given = {word.split("=")[0] for word in words if word.startswith("--")}
        assert given <= known | {"--help"}, f"{line}: {given - known}"


def test_the_program_s_help_is_what_each_command_says_of_itself() -> None:
    from aigc_core.cli.commands import COMMANDS, load_command

    for name, (_, summary) in COMMANDS.items():
        text = (load_command(name).help or "").strip()
        assert " ".join(text.split("\n\n")[0].split()) == summary, name

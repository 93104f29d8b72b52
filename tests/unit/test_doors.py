"""Doors open one way: who may import whom, read from the source."""

import ast
import importlib.metadata
import re
from pathlib import Path

import pytest

import aigc_core

CORE = Path(aigc_core.__file__).parent
# Know nothing of the others; anyone may use them.
SHARED = {"complaints", "errors", "files", "state", "_lazy", "_version", "strict_yaml", "workers"}

MAY_IMPORT = {
    "interfaces": set(),
    "storage": set(),
    "datasets": {"storage", "interfaces"},
    "notes": {"interfaces"},
    "plugins": {"interfaces"},
    "config": {"plugins", "interfaces"},
    "losses": {"interfaces"},
    "solvers": set(),
    "networks": {"interfaces"},
    "trainers": {"losses", "solvers", "networks", "interfaces"},
    "engine": {"config", "storage", "interfaces"},
    "runs": {"config", "storage", "interfaces"},
    "observers": {"plugins", "runs", "engine", "config", "interfaces"},
    "evaluation": {"interfaces"},
    "report": {"runs", "config", "plugins", "interfaces"},
    "api": {
        "observers",
        "report",
        "runs",
        "engine",
        "networks",
        "config",
        "plugins",
        "storage",
        "interfaces",
    },
    "testing": {
        "api",
        "observers",
        "runs",
        "engine",
        "networks",
        "config",
        "plugins",
        "interfaces",
    },
    "serving": {"api", "engine", "interfaces"},
    "scaffold": {"plugins", "interfaces"},
    "cli": {
        "report",
        "scaffold",
        "testing",
        "api",
        "observers",
        "runs",
        "engine",
        "config",
        "plugins",
        "interfaces",
    },
}


def imports(path: Path, *, at_run_time: bool) -> set[str]:
    """Modules that a file imports; at run time means: not under ``if TYPE_CHECKING``."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped: set[ast.AST] = set()
    if at_run_time:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
                skipped.update(inner for part in node.body for inner in ast.walk(part))
    found = set()
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            # `from aigc_core.cli import train` imports a submodule
            found.update(f"{module}.{alias.name}" for alias in node.names)
            found.add(module)
    return found


def files(package: str) -> list[Path]:
    return sorted((CORE / package).rglob("*.py"))


def test_every_package_of_the_core_has_its_rule() -> None:
    assert {p.name for p in CORE.iterdir() if (p / "__init__.py").exists()} == set(MAY_IMPORT)


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_it_may(package: str) -> None:
    allowed = MAY_IMPORT[package] | SHARED | {package}
    for path in files(package):
        for module in imports(path, at_run_time=True):
            parts = module.split(".")
            if parts[0] == "aigc_core" and len(parts) > 1 and (CORE / parts[1]).is_dir():
                assert parts[1] in allowed, f"{path.relative_to(CORE)} imports {module}"


@pytest.mark.parametrize("package", ["plugins", "config"])
def test_plugins_and_config_never_import_torch(package: str) -> None:
    for path in files(package):
        torch = {m for m in imports(path, at_run_time=False) if m.split(".")[0].startswith("torch")}
        assert not torch, f"{path.relative_to(CORE)} imports {torch}"


def test_the_core_imports_no_plugin() -> None:
    plugins = {e.value.split(".")[0] for e in importlib.metadata.entry_points(group="aigc.plugins")}
    assert plugins, "no plugin is installed, so this test would prove nothing"
    for path in CORE.rglob("*.py"):
        used = {m.split(".")[0] for m in imports(path, at_run_time=False)} & plugins
        assert not used, f"{path.relative_to(CORE)} imports {used}"


def named_in(path: Path, word: re.Pattern[str]) -> list[str]:
    """Names and strings in a file's code that match; docstrings may give examples."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = []
    for node in ast.walk(tree):
        if id(node) in docstrings:
            continue
        values = [getattr(node, key, None) for key in ("id", "attr", "name", "arg", "value")]
        found += [v for v in values if isinstance(v, str) and word.search(v)]
    return found


def test_the_core_names_no_modality() -> None:
    names = {*known_modalities(), "mnist", "dcgan", "wavegan", "gpt"}
    # "text" is also what a str holds; as a modality it stands before a slash.
    names.remove("text")
    word = re.compile(rf"(?<![a-z])({'|'.join(sorted(names))})s?(?![a-z])|^text/", re.IGNORECASE)
    allowed = {
        "add_audio",
        "add_image",
        "Image",
    }  # words of TensorBoard and Pillow
    for path in CORE.rglob("*.py"):
        named = set(named_in(path, word))
        assert named <= allowed, f"{path.relative_to(CORE)}: {named - allowed}"


def known_modalities() -> list[str]:
    from aigc_core.plugins import get_host, load_catalogue

    return [*get_host().modalities, *load_catalogue().modalities]


def test_modules_import_one_another_in_no_circle() -> None:
    """Neither at run time, nor within functions, nor for types alone; packages only re-export."""
    modules = {".".join(p.relative_to(CORE.parent).with_suffix("").parts): p
               for p in CORE.rglob("*.py") if p.name != "__init__.py"}  # fmt: skip
    graph = {
        module: imports(path, at_run_time=False) & set(modules) - {module}
        for module, path in modules.items()
    }
    while leaves := [module for module, needed in graph.items() if not needed & set(graph)]:
        for module in leaves:
            del graph[module]
    assert not graph, f"in a circle, or waiting for one: {sorted(graph)}"

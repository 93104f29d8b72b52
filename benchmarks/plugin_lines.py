"""Counts the code that a plugin's author writes for each recipe, as a Markdown table.

It counts the networks and what builds the trainer (the module of the recipe's ``build``), the
settings (that of its ``model``), modules of the same package that these import, and the recipe's
``RecipeSpec`` with its presets. Data sets, the modality and what only other recipes use are left
out; a module that several recipes share counts for each of them. Code lines have a token that is
neither a comment nor part of a docstring; total lines are all lines.

    python benchmarks/plugin_lines.py
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import io
import token
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aigc_core.plugins import RecipeSpec, get_host

CORE = "aigc_core"
_LEFT_OUT = ("datasets", "modality")
_NO_CODE = {
    token.COMMENT,
    token.NL,
    token.NEWLINE,
    token.INDENT,
    token.DEDENT,
    token.ENDMARKER,
    token.ENCODING,
}


@dataclass
class Lines:
    """A count of lines: those with code, and all."""

    code: int = 0
    total: int = 0

    def __add__(self, other: Lines) -> Lines:
        return Lines(self.code + other.code, self.total + other.total)


def docstring_lines(tree: ast.AST) -> set[int]:
    """Return the line numbers of docstrings, including those below fields."""
    return {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


def code_lines(source: str) -> set[int]:
    """Return the line numbers of a module's code."""
    lines: set[int] = set()
    for found in tokenize.generate_tokens(io.StringIO(source).readline):
        if found.type not in _NO_CODE:
            lines.update(range(found.start[0], found.end[0] + 1))
    return lines - docstring_lines(ast.parse(source))


def module_path(name: str) -> Path:
    """Return the file of a module."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin)


def imported(source: str, package: str) -> Iterator[str]:
    """Yield the package's own modules that a module imports, except data sets and modality."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # names may be modules, as in "from aigc_audio import mulaw"
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            first, _, rest = name.partition(".")
            if first != package or not rest or rest.split(".")[0] in _LEFT_OUT:
                continue
            try:
                found = importlib.util.find_spec(name)
            except ModuleNotFoundError:  # a class of a module
                continue
            if found is not None:
                yield name


def modules_of(recipe: RecipeSpec) -> tuple[str, str, list[str]]:
    """Return a recipe's modules: its networks, its settings, and those that these import."""
    networks, settings = (ref.partition(":")[0] for ref in (recipe.build, recipe.model))
    package = networks.split(".")[0]
    if package == CORE:  # no code of the plugin's
        return networks, settings, []
    helpers: list[str] = []
    waiting = [networks, settings]
    while waiting:
        source = module_path(waiting.pop()).read_text(encoding="utf-8")
        for name in imported(source, package):
            if name not in (networks, settings, *helpers):
                helpers.append(name)
                waiting.append(name)
    return networks, settings, helpers


def lines_of(module: str) -> Lines:
    """Count a module; none of those that a plugin finds in the core."""
    if module.split(".")[0] == CORE:
        return Lines()
    source = module_path(module).read_text(encoding="utf-8")
    return Lines(len(code_lines(source)), len(source.splitlines()))


def declaration(recipe: RecipeSpec, module: str) -> Lines:
    """Count a ``RecipeSpec(name=…)`` and what it uses of its module, such as shared presets."""
    source = module_path(module).read_text(encoding="utf-8")
    tree = ast.parse(source)
    shared: dict[str, ast.stmt] = {}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        shared |= {target.id: node for target in targets if isinstance(target, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "RecipeSpec":
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            name = given.get("name")
            if isinstance(name, ast.Constant) and name.value == recipe.name:
                used = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
                parts: list[ast.stmt | ast.Call] = [node]
                parts += [shared[name] for name in sorted(used & shared.keys())]
                code = code_lines(source)
                spans = [range(p.lineno, (p.end_lineno or p.lineno) + 1) for p in parts]
                lines = {line for span in spans for line in span}
                return Lines(len(lines & code), len(lines))
    raise SystemExit(f"{module} holds no RecipeSpec(name='{recipe.name}', …)")


def main() -> None:
    """Print the table."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    host = get_host()
    print("| recipe | networks | settings | helpers | declaration | code lines | total lines |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for name, recipe in sorted(host.recipes.items()):
        networks, settings, helpers = modules_of(recipe)
        status = host.status(host.owner("recipe", name))
        assert status is not None
        parts = [
            lines_of(networks),
            lines_of(settings),
            sum(map(lines_of, helpers), Lines()),
            declaration(recipe, status.module),
        ]
        whole = sum(parts, Lines())
        counts = " | ".join(str(part.code) for part in parts)
        print(f"| {name} | {counts} | {whole.code} | {whole.total} |")


if __name__ == "__main__":
    main()

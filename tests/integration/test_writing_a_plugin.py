"""What docs/writing-a-plugin.md shows works, word for word, from an empty folder.

Every block of code has a marker above it, which says what becomes of it here:

- ``file: PATH``: the file is written; of several blocks with one path each continues where the last
  one ended. What comes out is compared with ``examples/``.
- ``run``: each line is a command. ``pip install`` is done without pip, by ``source_install``.
- ``run, cut short in tests: OPTIONS``: likewise, with these options added.
- ``test: NAME``: Python, run as a script; or YAML, which has a test of its own.
"""

import ast
import importlib.metadata
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from source_install import install_source

from aigc_core.plugins import load_catalogue
from aigc_core.plugins.installed import normal_name

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
GUIDE = (ROOT / "docs" / "writing-a-plugin.md").read_text(encoding="utf-8")
MAX_LINES = 100
"""Of code in the plugin that the page builds first, docstrings included: it says so."""


@dataclass(frozen=True)
class Block:
    """A block of code, and the marker in the line above it."""

    marker: str
    language: str
    text: str

    def is_a(self, kind: str) -> bool:
        return re.match(rf"{kind}\b", self.marker) is not None

    @property
    def value(self) -> str:
        """What stands in the marker after the colon."""
        return self.marker.partition(":")[2].strip()


def blocks() -> Iterator[Block]:
    fence = re.compile(
        r"(?:^<!-- (?P<marker>.*?) -->\n)?"
        r"^(?P<fence>```+)(?P<language>\w*)\n(?P<text>.*?)^(?P=fence)$",
        re.DOTALL | re.MULTILINE,
    )
    for found in fence.finditer(GUIDE):
        yield Block(found["marker"] or "", found["language"], found["text"])


BLOCKS = list(blocks())


def written_files() -> dict[str, str]:
    """The files as the page leaves them. Two blocks of one file are two empty lines apart."""
    files: dict[str, str] = {}
    for block in BLOCKS:
        if block.is_a("file"):
            before = files.get(block.value)
            files[block.value] = block.text if before is None else f"{before}\n\n{block.text}"
    return files


def code_lines(folder: Path) -> int:
    """Lines of Python that are neither empty nor a comment."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py"))]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    return sum(bool(line) and not line.startswith("#") for line in lines)


def test_every_block_says_what_becomes_of_it() -> None:
    assert len(BLOCKS) > 30
    for block in BLOCKS:
        known = any(block.is_a(kind) for kind in ("file", "run", "test"))
        assert known, f"no marker above:\n{block.text}"
    inside = sum(block.text.count("```") for block in BLOCKS)  # files that are Markdown themselves
    assert GUIDE.count("```") == 2 * len(BLOCKS) + inside


def test_the_files_are_those_of_the_examples() -> None:
    there = {
        path.relative_to(EXAMPLES).as_posix(): path.read_text(encoding="utf-8")
        for path in EXAMPLES.glob("*/**/*")
        if path.is_file() and not re.search(r"/(\.|__pycache__)", path.as_posix())
    }
    assert written_files() == there


def test_the_plugin_is_as_short_as_the_page_says() -> None:
    assert f"{MAX_LINES} lines" in GUIDE
    assert code_lines(EXAMPLES / "aigc-points" / "aigc_points") <= MAX_LINES


def test_a_flow_takes_as_few_lines_as_the_page_says() -> None:
    more = EXAMPLES / "aigc-more" / "aigc_more"
    network = (more / "flow.py").read_text(encoding="utf-8").splitlines()
    hooks = (more / "__init__.py").read_text(encoding="utf-8")
    declared = hooks[hooks.index("flow = RecipeSpec(") : hooks.index("return [vae, flow]")]
    lines = [line for line in (*network, *declared.splitlines()) if line.strip()]
    assert "fewer than\n60 lines" in GUIDE
    assert len(lines) < 60


@dataclass
class Reader:
    """Somebody who follows the page in an empty folder."""

    folder: Path
    path: list[Path] = field(default_factory=list)
    """What was installed: folders for ``PYTHONPATH``."""

    def follow(self, block: Block) -> None:
        if block.is_a("file"):
            target = self.folder / block.value
            target.parent.mkdir(parents=True, exist_ok=True)
            before = target.read_text(encoding="utf-8") + "\n\n" if target.exists() else ""
            target.write_text(before + block.text, encoding="utf-8")
        elif block.is_a("run"):
            for line in block.text.splitlines():
                command = shlex.split(line, comments=True)
                if command[:2] == ["pip", "install"]:
                    self.install(command[2:])
                else:
                    self.run(*command, *shlex.split(block.value))
        elif block.language == "python":
            self.run(sys.executable, "-c", block.text)

    def install(self, arguments: list[str]) -> None:
        """Do what ``pip install`` would: folders by their metadata; the rest should be there."""
        editable = arguments[:1] == ["-e"]
        for name in arguments[1 if editable else 0 :]:
            if editable:
                self.path += install_source(self.folder / name, self.folder / ".site" / name)
            else:
                importlib.metadata.version(name)

    def run(self, *command: str) -> None:
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(map(str, self.path)),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
        assert "Warning" not in done.stderr, f"{shlex.join(command)}\n{done.stderr}"


@pytest.mark.slow
def test_who_follows_the_page_gets_what_it_says(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "reader")
    reader.folder.mkdir()
    for block in BLOCKS:
        reader.follow(block)
    there = {path.relative_to(reader.folder).as_posix() for path in reader.folder.rglob("*")}
    assert len([name for name in there if re.fullmatch(r"clouds/\d{6}\.ply", name)]) == 64
    assert {"shapes.png", "clouds/preview.png", "clouds.png"} <= there
    note = (reader.folder / "runs" / "watched" / "note.txt").read_text(encoding="utf-8")
    assert note == "points/vae: complete at step 10\n"


def test_the_catalogue_entry_is_valid_and_true(tmp_path: Path) -> None:
    (entry,) = [block for block in BLOCKS if block.language == "yaml"]
    (tmp_path / "registry.yaml").write_text(entry.text, encoding="utf-8")
    catalogue = load_catalogue(tmp_path / "registry.yaml")
    project = written_files()["aigc-points/pyproject.toml"]
    assert [f'name = "{name}"' in project for name in catalogue.plugins] == [True]
    hooks = written_files()["aigc-points/aigc_points/__init__.py"]
    plugin = catalogue.plugins[normal_name("aigc_points")]
    for name in (*plugin.modalities, *plugin.datasets, *plugin.recipes):
        assert f'name="{name}"' in hooks


def said_by_the_core() -> list[str]:
    """Every string in the core's plugin host and what uses it; … is what is filled in."""
    found = []
    for folder in ("plugins", "api", "cli"):
        for path in (ROOT / "aigc_core" / folder).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    found.append(
                        "".join(
                            str(part.value) if isinstance(part, ast.Constant) else "…"
                            for part in node.values
                        )
                    )
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(re.sub(r"%\.?\d*[sdf]", "…", node.value))
    return found


def test_the_messages_that_are_explained_are_the_ones_that_are_said() -> None:
    table = GUIDE.partition("<!-- errors -->")[2]
    messages = re.findall(r"^\| `(.*?)` \|", table, re.MULTILINE)
    assert len(messages) > 15
    said = said_by_the_core()
    for message in messages:
        forms = {message, re.sub("RecipeSpec|recipe", "…", message)}  # the core says it of any kind
        patterns = [".*".join(map(re.escape, form.split("…"))) for form in forms]
        assert any(re.search(p, text) for p in patterns for text in said), message


def test_links_and_pictures_are_there() -> None:
    headings = re.findall(r"^#+ (.*)$", GUIDE, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    for target in re.findall(r"\]\(([^)\s]+)\)", GUIDE):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif not target.startswith(("http", "../../")):  # the plugin's own README is elsewhere
            assert (ROOT / "docs" / target).exists(), target

"""What the README shows works, word for word."""

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"<!-- test: example -->\n```python\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    for line in block.replace("\\\n", "").splitlines()
    if line.startswith("aigc ")
]


@pytest.mark.parametrize("source", EXAMPLES, ids=["train-and-generate", "engine-alone"])
def test_the_python_examples_run(source: str) -> None:
    scope: dict[str, object] = {"__name__": "readme"}
    exec(compile(source, "README.md", "exec"), scope)  # the README's own code
    if "images" in scope:
        assert tuple(scope["images"].shape) == (16, 1, 32, 32)
    else:
        radius = scope["points"].norm(dim=1)
        assert 0.7 < radius.mean() < 1.3  # it learned a circle of radius 1


def test_both_examples_were_found() -> None:
    assert len(EXAMPLES) == 2
    assert len(COMMANDS) > 12


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_in_a_command_exists(aigc, command: str) -> None:
    """Each option must stand in the command's own help; runs and data need not be there."""
    words = shlex.split(command.split(">")[0])[1:]
    grouped = words[0] in ("config", "plugins") or words[:2] == ["datasets", "preview"]
    group = words[:2] if grouped else words[:1]
    reported = aigc(*group, "--help").out
    for word in words:
        if word.startswith("--"):
            assert re.search(rf"{re.escape(word)}\b", reported), f"{word} is not in the help"


def test_settings_in_commands_are_valid(aigc) -> None:
    shown = [c for c in COMMANDS if c.startswith("aigc train")]
    assert any("--preset" in c for c in shown)
    for command in shown:
        words = shlex.split(command)[2:]
        keep = []
        for option in ("--set", "--preset", "--dataset"):
            for index, word in enumerate(words):
                if word == option:
                    keep += [option, words[index + 1]]
        done = aigc("config", "show", words[0], *keep)
        assert done.code == 0, done.err


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_links_and_pictures_are_there(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / target).exists(), f"{name} links to {target}"


def test_both_readmes_give_the_same_two_commands() -> None:
    chinese = (ROOT / "README.zh.md").read_text(encoding="utf-8")
    commands = re.findall(r"^pip install .* && .*$", README, re.MULTILINE)
    assert len(commands) == 2
    assert re.findall(r"^pip install .* && .*$", chinese, re.MULTILINE) == commands

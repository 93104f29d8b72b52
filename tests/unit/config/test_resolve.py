"""Layers of settings become one valid configuration that knows where each value came from."""

import math
import sys
from pathlib import Path
from typing import Any

import pytest

from aigc_core.config import Layer, RunConfig, read_config_file, resolve_config
from aigc_core.config.layers import nest
from aigc_core.errors import ConfigError, PluginError, UserError
from aigc_core.plugins import PluginHost
from aigc_core.strict_yaml import dump_yaml


def resolve(host: PluginHost, *assignments: dict[str, Any], preset: str | None = None):
    """Resolve toy/net with layers named ``layer 1``, ``layer 2`` …, weakest first."""
    layers = [Layer(f"layer {i}", nest(values)) for i, values in enumerate(assignments, start=1)]
    return resolve_config(host, "toy/net", preset=preset, layers=layers)


def refused(host: PluginHost, *assignments: dict[str, Any], recipe: str = "toy/net") -> str:
    layers = [Layer(f"layer {i}", nest(values)) for i, values in enumerate(assignments, start=1)]
    with pytest.raises(UserError) as caught:
        resolve_config(host, recipe, layers=layers)
    message = str(caught.value)
    assert "\n" not in message
    assert "pydantic" not in message
    return message


# Precedence


def test_without_layers_there_are_the_defaults_of_fields_and_recipe(host: PluginHost) -> None:
    resolved = resolve(host)
    assert (resolved.config.model.width, resolved.sources["model.width"]) == (8, "default")
    assert (resolved.config.engine.batch_size, resolved.sources["engine.batch_size"]) == (
        32,
        "recipe",
    )
    assert (resolved.config.dataset.name, resolved.sources["dataset.name"]) == ("squares", "recipe")


def test_a_preset_is_over_the_recipe_and_below_the_layers(host: PluginHost) -> None:
    resolved = resolve(host, {"model.width": 3}, preset="long")
    assert (resolved.config.engine.steps, resolved.sources["engine.steps"]) == (9000, "preset long")
    assert (resolved.config.model.width, resolved.sources["model.width"]) == (3, "layer 1")
    assert resolved.config.preset == "long"


def test_the_last_layer_wins(host: PluginHost) -> None:
    resolved = resolve(host, {"model.width": 3, "engine.seed": 7}, {"model.width": 4})
    assert (resolved.config.model.width, resolved.sources["model.width"]) == (4, "layer 2")
    assert (resolved.config.engine.seed, resolved.sources["engine.seed"]) == (7, "layer 1")


def test_keys_of_one_section_join_over_layers(host: PluginHost) -> None:
    config = resolve(
        host, {"engine.checkpoint.every": 7}, {"engine.checkpoint.keep": 9}
    ).config.engine.checkpoint
    assert (config.every, config.keep) == (7, 9)


def test_every_setting_has_a_source(host: PluginHost) -> None:
    resolved = resolve(host)
    assert set(resolved.sources) >= {"engine.checkpoint.every", "trainer.generator.lr", "preset"}
    assert set(resolved.sources.values()) == {"default", "recipe"}


def test_a_null_section_resets_what_weaker_layers_set_below_it(host: PluginHost) -> None:
    resolved = resolve(host, {"dataset.options": None})
    assert resolved.config.dataset.options.size == 8
    assert resolved.sources["dataset.options.size"] == "layer 1"


def test_an_empty_section_takes_no_credit(host: PluginHost) -> None:
    resolved = resolve_config(host, "toy/net", layers=[Layer("layer 1", {"engine": {}})])
    assert resolved.sources["engine.batch_size"] == "recipe"


def test_steps_clear_the_epochs_of_a_weaker_layer(host: PluginHost) -> None:
    engine = resolve(host, {"engine.steps": 10}).config.engine
    assert (engine.steps, engine.epochs) == (10, None)


def test_epochs_clear_the_steps_of_a_weaker_layer(host: PluginHost) -> None:
    engine = resolve(host, {"engine.epochs": 2}, preset="long").config.engine
    assert (engine.steps, engine.epochs) == (None, 2)


def test_steps_and_epochs_in_one_layer_are_refused(host: PluginHost) -> None:
    message = refused(host, {"engine.steps": 1, "engine.epochs": 1})
    assert message == (
        "engine: give steps or epochs, not both "
        "(engine.steps from layer 1, engine.epochs from layer 1)."
    )


def test_a_null_does_not_clear_the_other_length(host: PluginHost) -> None:
    assert resolve(host, {"engine.steps": None}).config.engine.epochs == 5


def test_neither_steps_nor_epochs_is_refused(host: PluginHost) -> None:
    assert "give steps or epochs" in refused(host, {"engine.epochs": None})


def test_null_is_a_value_where_the_setting_allows_it(host: PluginHost) -> None:
    assert resolve(host, {"engine.ema": 0.9}, {"engine.ema": None}).config.engine.ema is None


def test_the_specs_are_not_changed_by_resolving(host: PluginHost) -> None:
    before = host.recipe("toy/net").model_dump_json()
    resolve(host, {"engine.steps": 1, "dataset.options.size": 1}, preset="boxed")
    assert host.recipe("toy/net").model_dump_json() == before


# Another dataset


def test_options_of_a_weaker_layer_are_dropped_with_its_data_set(host: PluginHost) -> None:
    resolved = resolve(host, {"dataset.name": "boxes"})
    assert resolved.config.dataset.options.size == 8  # not 16, which the recipe says of squares
    assert resolved.sources["dataset.options.size"] == "default"


def test_options_beside_the_new_name_are_kept(host: PluginHost) -> None:
    options = resolve(host, {"dataset.name": "boxes", "dataset.options.border": 3}).config.dataset
    assert (options.options.size, options.options.border) == (8, 3)


def test_options_of_a_preset_are_dropped_too(host: PluginHost) -> None:
    options = resolve(host, {"dataset.name": "squares"}, preset="boxed").config.dataset.options
    assert (options.size, options.border) == (8, 0)


def test_naming_the_same_data_set_again_keeps_the_options(host: PluginHost) -> None:
    assert resolve(host, {"dataset.name": "squares"}).config.dataset.options.size == 16


def test_the_folder_of_the_data_is_kept(host: PluginHost) -> None:
    config = resolve(host, {"dataset.root": "/data"}, {"dataset.name": "boxes"}).config
    assert config.dataset.root == "/data"


def test_a_data_set_without_options_has_none(host: PluginHost) -> None:
    assert resolve(host, {"dataset.name": "plain"}).config.dataset.options is None


@pytest.mark.parametrize("options", [{"size": 1}, [], 0, "x"])
def test_options_for_a_data_set_without_them_are_refused(host: PluginHost, options: Any) -> None:
    message = refused(host, {"dataset.name": "plain", "dataset.options": options})
    assert message == (
        "The dataset 'plain' (plugin toy) has no options; remove 'dataset.options' (from layer 1)."
    )


def test_an_unknown_data_set_gets_the_nearest_one(host: PluginHost) -> None:
    assert "Did you mean 'squares'?" in refused(host, {"dataset.name": "square"})


def test_a_data_set_of_another_modality_is_refused(host: PluginHost) -> None:
    assert "holds other, and the recipe makes toy" in refused(host, {"dataset.name": "foreign"})


@pytest.mark.parametrize("name", [None, 5, [1], {"a": 1}])
def test_a_data_set_s_name_that_is_none_is_refused(host: PluginHost, name: Any) -> None:
    message = refused(host, {"dataset.name": name})
    assert message.startswith("dataset.name=")
    assert "(from layer 1)" in message


# Unknown keys


@pytest.mark.parametrize(
    ("key", "meant", "owner"),
    [
        ("model.widht", "model.width", "the recipe 'toy/net' (plugin toy)"),
        ("trainer.generator.l", "trainer.generator.lr", "the recipe 'toy/net' (plugin toy)"),
        ("dataset.options.sise", "dataset.options.size", "the dataset 'squares' (plugin toy)"),
        ("dataset.rot", "dataset.root", "the core"),
        ("engine.bach_size", "engine.batch_size", "the engine"),
        ("engine.checkpoint.evry", "engine.checkpoint.every", "the engine"),
        ("engine.keep", "engine.checkpoint.keep", "the engine"),
    ],
)
def test_an_unknown_key_names_its_owner_its_source_and_the_nearest_key(
    host: PluginHost, key: str, meant: str, owner: str
) -> None:
    message = refused(host, {key: 1})
    assert message.startswith(f"There is no setting '{key}' (from layer 1); ")
    assert f"belongs to {owner}." in message
    assert message.endswith(f"Did you mean '{meant}'?")


def test_a_key_of_another_section_is_found_by_its_last_part(host: PluginHost) -> None:
    message = refused(host, {"engine.lr": 1e-4})
    assert message.endswith("Did you mean 'trainer.generator.lr' or 'trainer.discriminator.lr'?")


def test_a_common_beginning_does_not_make_a_key_the_nearest(host: PluginHost) -> None:
    message = refused(host, {"engine.checkpoint.qqq": 1})
    assert message.endswith(
        "Valid: engine.checkpoint.every, engine.checkpoint.keep, engine.checkpoint.keep_best."
    )


def test_a_dotted_key_inside_a_file_says_how_to_nest_it(host: PluginHost) -> None:
    layer = Layer("f.yaml", {"engine": {"checkpoint.every": 1}})
    with pytest.raises(ConfigError, match="write 'every:' below 'checkpoint:'"):
        resolve_config(host, "toy/net", layers=[layer])


def test_a_key_below_a_value_is_refused(host: PluginHost) -> None:
    message = refused(host, {"engine.seed.first": 1})
    assert message.startswith(
        "There is no setting 'engine.seed.first' (from layer 1): 'engine.seed'"
    )


def test_an_unknown_preset_gets_the_nearest_one(host: PluginHost) -> None:
    with pytest.raises(ConfigError, match=r"no preset 'lnog'\. Did you mean 'long'\?"):
        resolve(host, preset="lnog")


def test_an_unknown_preset_of_a_recipe_without_any_says_so(host: PluginHost) -> None:
    with pytest.raises(ConfigError, match=r"no preset 'long'\. There are none\."):
        resolve_config(host, "toy/needy", preset="long")


def test_an_unknown_recipe_gets_the_nearest_one(host: PluginHost) -> None:
    assert "Did you mean 'toy/net'?" in refused(host, recipe="toy/nett")


# Values


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("engine.batch_size", "64x", "64x"),
        ("engine.batch_size", 0, "0"),
        ("engine.batch_size", 1.5, "1.5"),
        ("engine.batch_size", None, "null"),
        ("engine.batch_size", 10**300, None),
        ("engine.steps", 10**10, "10000000000"),
        ("engine.seed", -1, "-1"),
        ("engine.ema", math.nan, "nan"),
        ("engine.ema", 1.0, "1.0"),
        ("engine.epochs", math.inf, "inf"),
        ("engine.precision", "fp16", "fp16"),
        ("engine.device", "gpu", "gpu"),
        ("engine.device", "cuda:١", "cuda:١"),
        ("engine.checkpoint.every", 0, "0"),
        ("engine.checkpoint", 5, "5"),
        ("engine.checkpoint", [1], "[1]"),
        ("engine.checkpoint", None, "null"),
        ("engine.deterministic", "maybe", "maybe"),
        ("model.kind", "huge", "huge"),
        ("model.size", "x", "x"),
        ("dataset.root", 2024, "2024"),
        ("dataset.options.size", "", "''"),
        ("trainer.generator.lr", "fast", "fast"),
        ("trainer.generator.betas", 0.5, "0.5"),
        ("trainer.generator.betas", [0.1, 0.2, 0.3], None),
    ],
)
def test_a_bad_value_is_reported_with_its_key_and_its_source(
    host: PluginHost, key: str, value: object, shown: str | None
) -> None:
    message = refused(host, {key: value})
    assert message.startswith(f"{key}={shown}" if shown is not None else f"{key}=")
    assert " (from layer 1) is not valid: " in message


@pytest.mark.parametrize("device", ["auto", "cpu", "mps", "cuda", "cuda:0", "cuda:15"])
def test_every_kind_of_device_is_accepted(host: PluginHost, device: str) -> None:
    assert resolve(host, {"engine.device": device}).config.engine.device == device


@pytest.mark.parametrize(
    ("key", "value", "start"),
    [
        ("model.pair", [0.1, "x"], "model.pair[1]=x (from layer 1) is not valid"),
        ("model.size", [1, 2, "x"], "model.size[2]=x (from layer 1) is not valid"),
        ("trainer.generator.betas", ["a", 1], "trainer.generator.betas[0]=a (from layer 1)"),
    ],
)
def test_a_bad_item_of_a_list_is_reported_with_its_position(
    host: PluginHost, key: str, value: object, start: str
) -> None:
    assert refused(host, {key: value}).startswith(start)


def test_a_value_that_fits_no_member_of_a_union_hears_of_all(host: PluginHost) -> None:
    message = refused(host, {"model.size": "x"})
    assert "integer" in message
    assert "list" in message


def test_a_bad_value_of_a_preset_or_a_weaker_layer_names_that_layer(host: PluginHost) -> None:
    assert "(from layer 1)" in refused(host, {"engine.seed": -1}, {"engine.steps": 1})


def test_settings_that_do_not_fit_together_name_where_each_came_from(host: PluginHost) -> None:
    message = refused(host, {"engine.accumulate": 3})
    assert message == (
        "engine: accumulate=3 does not divide batch_size=32 "
        "(engine.accumulate from layer 1, engine.batch_size from recipe)."
    )


def test_a_plugin_s_own_check_is_reported_in_its_words(host: PluginHost) -> None:
    assert refused(host, {"model.title": "a long title"}) == (
        "model: title is longer than width (model.title from layer 1)."
    )


def test_a_nested_check_names_its_section(host: PluginHost) -> None:
    message = refused(host, {"trainer.generator.betas": [0.5, 1.5]})
    assert message.startswith("trainer.generator: betas must")
    assert "(trainer.generator.betas from layer 1)" in message


def test_a_setting_without_a_default_must_be_given(host: PluginHost) -> None:
    message = refused(host, recipe="toy/needy")
    assert "'model.depth' is missing" in message
    assert "--set model.depth=VALUE" in message


@pytest.mark.parametrize("named", [dict, len, 5])
def test_settings_that_are_no_config_model_are_the_plugin_s_fault(
    host: PluginHost, named: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["toy_settings"], "not_a_model", named)
    with pytest.raises(PluginError, match="The plugin 'toy' names toy_settings:not_a_model"):
        resolve_config(host, "toy/wrong")


@pytest.mark.parametrize("section", ["dataset", "model", "trainer", "engine"])
@pytest.mark.parametrize("value", [5, [1], "x"])
def test_a_whole_section_given_as_a_value_is_refused(
    host: PluginHost, section: str, value: object
) -> None:
    with pytest.raises(ConfigError, match=f"layer: '{section}' must hold keys of its own"):
        resolve_config(host, "toy/net", layers=[Layer("layer", {section: value})])


def test_an_unknown_section_is_refused(host: PluginHost) -> None:
    with pytest.raises(ConfigError, match=r"no section 'egnine'\. Did you mean 'engine'\?"):
        resolve_config(host, "toy/net", layers=[Layer("layer", {"egnine": {}})])


@pytest.mark.parametrize("options", [5, [1], "x"])
def test_options_given_as_a_value_are_refused(host: PluginHost, options: object) -> None:
    message = refused(host, {"dataset.options": options})
    assert message.startswith("'dataset.options' must hold keys of its own, found ")
    assert message.endswith("(from layer 1).")


# A run's own file


def reread(host: PluginHost, config: RunConfig, path: Path) -> RunConfig:
    path.write_text(dump_yaml(config.to_dict()), encoding="utf-8")
    return resolve_config(
        host, config.recipe, preset=config.preset, layers=[read_config_file(path)]
    ).config


@pytest.mark.parametrize("preset", [None, "long", "boxed"])
def test_a_run_s_own_file_gives_the_same_configuration(
    host: PluginHost, tmp_path: Path, preset: str | None
) -> None:
    given = {
        "trainer.generator.lr": 1e-5,
        "dataset.root": "/data/2e-4",
        "model.title": "on",
        "model.size": [1, 2],
        "engine.ema": 0.5,
    }
    config = resolve(host, given, preset=preset).config
    assert reread(host, config, tmp_path / "config.yaml") == config


@pytest.mark.parametrize("title", ["2e-4", "on", "null", "1_000", "~", ""])
def test_text_in_a_run_s_own_file_stays_text(host: PluginHost, tmp_path: Path, title: str) -> None:
    config = resolve(host, {"model.title": title}).config
    assert reread(host, config, tmp_path / "config.yaml").model.title == title


def test_a_run_s_own_file_without_options_of_the_data_set_is_read(
    host: PluginHost, tmp_path: Path
) -> None:
    config = resolve(host, {"dataset.name": "plain"}).config
    assert reread(host, config, tmp_path / "config.yaml") == config


def test_a_setting_of_a_group_leaves_the_others_of_that_group(host: PluginHost) -> None:
    """The default of the field that holds the group counts, not that of the group's class."""
    trainer = resolve(host, {"trainer.generator.lr": 1e-4}).config.trainer
    assert trainer.generator.lr == 1e-4
    assert trainer.generator.betas == trainer.discriminator.betas == (0.5, 0.999)

"""Known failures are strict, lost checks are missed, and one check does not stop another."""

import dataclasses
import types
import typing

import dots
import implied
import pytest
from dots_variants import GAN, dots_with, failed, plugin, results_of

from aigc_core import MetricSpec
from aigc_core.errors import PluginError
from aigc_core.plugins import get_host
from aigc_core.plugins.specs import Capability
from aigc_core.testing import check_plugin, isolated_host, tmp_plugin
from aigc_core.testing.results import describe
from aigc_core.testing.runner import Planned, Runner

pytestmark = pytest.mark.usefixtures("in_this_process")


def broken_in_bf16(**fields: object):
    return dots_with(gan={"build": "broken_dots.discriminators:breaks_in_bf16", **fields})


def test_a_known_failure_is_reported_with_its_reason() -> None:
    results = results_of(broken_in_bf16(known_failures={"bf16-finite": "divides by nothing"}))
    assert not failed(results)
    known = [result for result in results if result.status == "known failure"]
    assert [result.check for result in known] == ["bf16-finite"]
    assert known[0].message.startswith("divides by nothing (In bf16, ")


def test_a_known_failure_that_passes_is_a_failure() -> None:
    module = dots_with(gan={"known_failures": {"bf16-finite": "divides by nothing"}})
    assert failed(results_of(module)) == {
        "bf16-finite": "Declared as a known failure (divides by nothing), but passes: remove "
        "'bf16-finite' from known_failures."
    }


def test_a_known_failure_of_a_check_that_is_not_done_here() -> None:
    module = dots_with(
        modality={"known_failures": {"resume": "no"}},
        stars={"known_failures": {"loads": "no"}},
        gan={"known_failures": {"previw-opens": "no"}},
    )
    message = failed(results_of(module))["known-failures"]
    assert "known_failures of modality dots names 'resume'" in message
    assert "known_failures of dataset stars names 'loads'" in message
    assert "known_failures of recipe dots/gan names 'previw-opens'" in message


@pytest.mark.parametrize(
    "module",
    [
        dots,
        dots_with(gan={"capabilities": ()}),
        dots_with(gan={"capabilities": ("adversarial",)}),
        dots_with(stars={"embedded": False}),
    ],
)
def test_what_is_planned_is_what_the_specs_imply(module: types.ModuleType) -> None:
    with tmp_plugin(module, "planned"), Runner(get_host(), "planned") as runner:
        planned = [(item.label, item.check.name) for item in runner.planned]
        assert len(set(planned)) == len(planned)
        assert set(planned) == set(implied.implied_checks(runner.host, "planned"))


@pytest.mark.parametrize(
    "plugin", ["audio", "image", "joint", "point-cloud", "serve", "text", "video"]
)
def test_what_is_planned_of_installed_plugins_is_what_their_specs_imply(plugin: str) -> None:
    if get_host().status(plugin) is None:
        pytest.skip("it is not installed")
    with Runner(get_host(), plugin) as runner:
        planned = {(item.label, item.check.name) for item in runner.planned}
        assert planned == set(implied.implied_checks(runner.host, plugin))


def test_what_is_planned_is_done() -> None:
    with tmp_plugin(dots, "done"), Runner(get_host(), "done") as runner:
        planned = [(item.label, item.check.name) for item in runner.planned]
        assert [(r.subject, r.check) for r in runner.run_all()] == planned


def test_the_table_knows_every_capability() -> None:
    assert set(typing.get_args(Capability)) == set(implied.CAPABILITY)


def test_an_exception_is_a_failure_with_type_and_place_and_stops_nothing() -> None:
    results = results_of(dots_with(modality={"code": "broken_dots.modality:Explodes"}))
    message = failed(results)["stored-form"]
    assert message.startswith("ZeroDivisionError: by no dots (")
    assert "modality.py, line " in message
    assert message.endswith(", in to_stored).")
    assert {"save-and-read", "resume"} <= {r.check for r in results if r.status == "passed"}


def test_exit_is_a_failure_and_ctrl_c_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with Runner(isolated_host(dots), "dots") as runner:
        item = runner.planned[0]

        def ending(error: BaseException) -> Planned:
            def end(subject: object) -> None:
                raise error

            return dataclasses.replace(item, check=dataclasses.replace(item.check, function=end))

        assert runner.run(ending(SystemExit(3))).message.startswith("SystemExit: 3 (")
        with pytest.raises(KeyboardInterrupt):
            runner.run(ending(KeyboardInterrupt()))


def test_what_cannot_be_built_fails_what_needs_it_with_one_short_message() -> None:
    results = results_of(dots_with(gan={"build": "broken_dots.networks:cannot"}))
    problems = failed(results)
    reported = "ConfigError: There is no such width. Set model.width to another."
    assert problems["builds-quickly"] == reported
    alone = {"config", "declared-capabilities"}
    assert set(problems) == {*implied.recipe_checks(GAN)} - alone
    assert all(reported in message and len(message) < 150 for message in problems.values())


def test_a_modality_that_cannot_be_made_fails_its_checks() -> None:
    problems = failed(results_of(dots_with(modality={"code": "broken_dots.modality:CannotBeMade"})))
    assert problems["model-form"].startswith(
        "The modality for the dataset's samples could not be made: RuntimeError: no paint ("
    )


def test_a_recipe_without_a_tiny_preset_is_trained_with_its_defaults_if_they_are_embedded() -> None:
    small = {"presets": {}, "dataset": "ring", "known_failures": {}}
    assert not failed(results_of(dots_with(gan=small)))


@pytest.mark.parametrize("presets", [{}, {"tiny": {"engine": {"steps": 2}}}])
def test_a_recipe_with_nothing_to_be_trained_on_is_reported_to_get_a_preset(presets: dict) -> None:
    problems = failed(results_of(dots_with(gan={"presets": presets})))
    where = "its preset 'tiny' names" if presets else "its default is"
    assert problems["builds-quickly"] == (
        f"The recipe 'dots/gan' has nothing to be checked on: {where} the dataset 'stars', which "
        "is not embedded. Give it a preset named 'tiny' with small networks on an embedded dataset."
    )
    assert "config" not in problems


def test_options_without_defaults() -> None:
    module = dots_with(stars={"options": "broken_dots.settings:NeedyOptions"})
    problems = failed(results_of(module))
    assert "NeedyOptions has no default for 'count'" in problems["options-config"]


def test_a_spec_that_names_nothing() -> None:
    module = dots_with(stars={"code": "dots.datasets:Start"}, gan={"build": "dots.network:build"})
    message = failed(results_of(module))["specs-resolve"]
    assert "dataset stars, code: PluginError: The plugin 'variant' names dots.datasets:Start" in (
        message
    )
    assert "recipe dots/gan, build: PluginError: " in message


def test_a_metric_that_is_none() -> None:
    metric = MetricSpec(name="count", summary="", code="dots.settings:NetConfig")
    message = failed(results_of(plugin(register_metrics=[metric])))["specs-resolve"]
    assert message == (
        "metric count, code: dots.settings:NetConfig is not a class derived from aigc_core.Metric."
    )


def test_an_abstract_class_lacks_its_methods() -> None:
    module = dots_with(stars={"code": "broken_dots.datasets:LacksLoad"})
    assert "LacksLoad lacks the methods load." in failed(results_of(module))["specs-resolve"]


def test_a_plugin_that_is_not_there() -> None:
    with (
        tmp_plugin(dots),
        pytest.raises(PluginError, match=r"no plugin 'dot' to check. Did you mean 'dots'\?"),
    ):
        check_plugin("dot")


def test_nothing_is_left_behind(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    here = list(tmp_path.iterdir())
    assert not failed(results_of(plugin(register_recipes=[GAN]), dots_like()))
    assert list(tmp_path.iterdir()) == here


def dots_like():
    module = dots_with()
    module.__name__ = "others"
    del module.aigc_register_recipes
    return module


def test_describe_names_the_type_where_there_is_no_text() -> None:
    assert describe(KeyError()) == "KeyError"

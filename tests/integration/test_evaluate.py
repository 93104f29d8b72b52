"""``aigc evaluate`` compares a run's samples with its data; plugins bring metrics."""

import json

import pytest

from aigc_core import ConfigError, Metric, MetricSpec, PluginError, evaluate, hookimpl
from aigc_core.plugins import PluginStatus, get_host


def test_every_metric_that_fits_is_computed_and_kept_in_the_run(quick_run) -> None:
    result = evaluate(quick_run, count=50)
    assert set(result.metrics) == {
        "sliced-wasserstein/distance",
        "sliced-wasserstein/between_real_halves",
    }
    assert result.metrics["sliced-wasserstein/distance"] > 0
    assert (result.step, result.count, result.split) == (6, 50, "train")
    lines = (quick_run.path / "evaluations.jsonl").read_text().splitlines()
    assert [json.loads(line)["metrics"] for line in lines] == [result.metrics]


def test_the_same_seed_gives_the_same_values(quick_run) -> None:
    first, again, other = (evaluate(quick_run, count=50, seed=seed).metrics for seed in (3, 3, 4))
    assert first == again != other


def test_more_than_the_data_has_is_cut(quick_run) -> None:
    assert evaluate(quick_run, count=10**6).count == 1797


def test_the_command_prints_a_table_or_json(aigc, quick_run) -> None:
    table = aigc("evaluate", quick_run.path, "--count", 20)
    assert "sliced-wasserstein/distance" in table.out
    assert "20 samples of step 6" in table.err
    data = json.loads(aigc("evaluate", quick_run.path, "--count", 20, "--json").out)
    assert data["count"] == 20
    assert "sliced-wasserstein" in aigc("metrics").out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--metric", "sliced-waserstein"], "Did you mean 'sliced-wasserstein'?"),
        (["--split", "tset"], "The dataset 'digits' has no split 'tset'. Valid: train."),
        (["--count", "0"], "count=0 is not valid"),
        (["--count", "2"], "at least 4 samples"),
        (["--seed", "-1"], "seed=-1 is not valid"),
    ],
)
def test_bad_input_is_reported_and_nothing_is_kept(aigc, quick_run, options, message) -> None:
    result = aigc("evaluate", quick_run.path, *options)
    assert result.code == 2
    assert message in result.err
    assert not (quick_run.path / "evaluations.jsonl").exists()


class Brightness(Metric):
    """Difference of the mean values."""

    def compare(self, real, generated, modality):
        return {"difference": (real.float().mean() - generated.float().mean()).abs().item()}


class NoMetric:
    pass


def plugin_with(**spec: str) -> object:
    class Plugin:
        @hookimpl
        def aigc_register_metrics(self) -> list[MetricSpec]:
            return [MetricSpec(name="brightness", summary="", **spec)]

    return Plugin()


@pytest.fixture
def register(quick_run):
    """Register a plugin in this process's host for one test."""
    host = get_host()

    def add(plugin: object) -> PluginStatus:
        host.register(plugin, PluginStatus("extra", __name__))
        return host.status("extra")

    yield add
    host.manager.unregister(name="extra")
    status = host.status("extra")
    host.statuses.remove(status)
    host.registered.forget(status)


def test_a_plugin_brings_a_metric(register, quick_run) -> None:
    status = register(plugin_with(code=f"{__name__}:Brightness", modality="image"))
    assert status.metrics == ["brightness"]
    found = evaluate(quick_run, metrics=["brightness"], count=20).metrics
    assert found.keys() == {"brightness/difference"}


def test_a_metric_for_something_else_is_refused_by_name(register, quick_run) -> None:
    register(plugin_with(code=f"{__name__}:Brightness", modality="scent"))
    with pytest.raises(PluginError, match="is for scent, and the run makes image"):
        evaluate(quick_run, metrics=["brightness"])
    assert "brightness/difference" not in evaluate(quick_run, count=20).metrics


def test_code_that_is_no_metric_is_reported(register, quick_run) -> None:
    register(plugin_with(code=f"{__name__}:NoMetric"))
    with pytest.raises(PluginError, match="which is not a Metric"):
        evaluate(quick_run, metrics=["brightness"])


def test_data_of_another_shape_is_refused(quick_run) -> None:
    config = (quick_run.path / "config.yaml").read_text()
    (quick_run.path / "config.yaml").write_text(config.replace("size: 32", "size: 16"))
    with pytest.raises(ConfigError, match="the shape of a sample was"):
        evaluate(quick_run.path)


class Broken(Metric):
    def compare(self, real, generated, modality):
        return {}["no"]


class NotFinite(Metric):
    def compare(self, real, generated, modality):
        return {"ratio": float("nan")}


def test_a_metric_that_fails_is_named_with_its_plugin(register, quick_run) -> None:
    register(plugin_with(code=f"{__name__}:Broken"))
    with pytest.raises(PluginError, match="'brightness' of the plugin 'extra' failed: KeyError"):
        evaluate(quick_run, metrics=["brightness"], count=20)


def test_a_number_that_is_not_finite_is_valid_json(register, quick_run) -> None:
    register(plugin_with(code=f"{__name__}:NotFinite"))
    evaluate(quick_run, metrics=["brightness"], count=20)
    line = (quick_run.path / "evaluations.jsonl").read_text()
    assert json.loads(line, parse_constant=pytest.fail)["metrics"] == {"brightness/ratio": None}

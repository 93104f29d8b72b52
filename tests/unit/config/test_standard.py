"""A standard: a metric and one bound, from a flag, a file or settings."""

import pytest

from aigc_core import ConfigError, EngineConfig
from aigc_core.config import Layer, StandardConfig, parse_standard, resolve_config


@pytest.mark.parametrize(
    ("text", "key", "bound"),
    [
        ("validation/loss<=1.85", "at_most", 1.85),
        (" validation/loss  >= 2e-3 ", "at_least", 0.002),
        ("validation/loss<=-1", "at_most", -1.0),
    ],
)
def test_a_flag_sets_a_metric_and_a_bound(text: str, key: str, bound: float) -> None:
    expected = {"engine.standard.metric": "validation/loss", f"engine.standard.{key}": bound}
    assert parse_standard(text) == expected


@pytest.mark.parametrize(
    "text",
    ["validation/loss<=nan", "", "loss", "loss=1", "loss<1", "<=1", "a<=b", "a<=1<=2", "a b<=1"],
)
def test_anything_else_is_reported_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r'"validation/loss<=1\.85"'):
        parse_standard(text)


@pytest.mark.parametrize(
    ("bounds", "below", "at", "above"),
    [({"at_most": 0.0}, True, True, False), ({"at_least": 0.0}, False, True, True)],
)
def test_a_bound_includes_itself(bounds, below, at, above) -> None:
    standard = StandardConfig(metric="m", **bounds)
    assert [standard.reached_by(value) for value in (-1.0, 0.0, 1.0)] == [below, at, above]
    assert not any(standard.reached_by(float(value)) for value in ("nan", "inf", "-inf"))


def test_it_is_shown_as_the_flag_takes_it() -> None:
    for text in ("validation/loss <= 1.85", "m >= 0.5", "m <= 3", "m <= 5.55500004", "m <= -1e-09"):
        values = {key.split(".")[-1]: value for key, value in parse_standard(text).items()}
        assert str(StandardConfig(**values)) == text


@pytest.mark.parametrize(("first", "second"), [(5.555, 5.55500004), (0.1, 0.1 + 2**-56)])
def test_bounds_that_differ_are_shown_differently(first: float, second: float) -> None:
    shown = [str(StandardConfig(metric="m", at_most=bound)) for bound in (first, second)]
    assert shown[0] != shown[1]


@pytest.mark.parametrize("bounds", [{}, {"at_most": 1, "at_least": 1}, {"at_most": float("nan")}])
def test_there_is_one_bound_and_it_is_a_number(bounds) -> None:
    with pytest.raises(ConfigError):
        StandardConfig(metric="m", **bounds)


def test_a_stronger_layer_s_bound_takes_the_place_of_the_other(host) -> None:
    weak = Layer("file", {"engine": {"standard": {"metric": "m", "at_most": 1.0}}})
    strong = Layer("flag", {"engine": {"standard": {"at_least": 2.0}}})
    engine = resolve_config(host, "toy/net", layers=[weak, strong]).config.engine
    assert engine.standard == StandardConfig(metric="m", at_least=2.0)
    none = Layer("flag", {"engine": {"standard": None}})
    assert resolve_config(host, "toy/net", layers=[weak, none]).config.engine.standard is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"standard": {"metric": "m", "at_most": 1}, "validation_samples": 0}, "standard needs"),
        ({"patience": 3, "validation_samples": 0}, "patience needs validation"),
        ({"validation_metrics": ["m"], "validation_samples": 0}, "validation_metrics needs"),
        ({"checkpoint": {"keep_best": "m"}, "validation_samples": 0}, "keep_best needs validation"),
        ({"checkpoint": {"keep_best": None}, "patience": 3}, "none is known"),
        ({"patience": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_that_mean_nothing_together_are_refused(settings, message) -> None:
    with pytest.raises(ConfigError, match=message):
        EngineConfig(steps=1, **settings)


def test_keeping_the_best_by_default_asks_for_nothing() -> None:
    assert EngineConfig(steps=1, validation_samples=0).needs_validation is None

"""Metrics of generated samples at validations, by a callable that the engine is handed."""

import pytest
import torch
from toys import Scripted, toy_data, toy_trainer

from aigc_core import ConfigError, Engine, EngineConfig, EngineObserver
from aigc_core.engine import draw_samples

SETTINGS = {"steps": 8, "batch_size": 16, "device": "cpu", "validate_every": 4, "ema": 0.9}
SETTINGS |= {"validation_metrics": ("mine",), "validation_metric_samples": 10}


class Brightness:
    """Draws from torch's own generator too, as a metric that seeds nothing would."""

    higher_is_better = ("mine/score",)

    def __init__(self) -> None:
        self.calls: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.fails_from = 10**9
        self.least = 0

    def __call__(self, real, generated):
        torch.rand(3)
        if len(self.calls) >= self.fails_from:
            raise ConfigError("too dark")
        if len(real) < self.least:
            raise ConfigError(f"{len(real)} are too few")
        self.calls.append((real.clone(), generated.clone()))
        return {"mine/score": float(generated.mean()), "mine/real": float(real.mean())}


class Logged(EngineObserver):
    def __init__(self) -> None:
        self.metrics: dict[int, dict[str, float]] = {}

    def metrics_logged(self, engine, metrics) -> None:
        self.metrics[engine.step] = dict(metrics)


def engine(compare=None, **changes) -> Engine:
    settings = SETTINGS | changes
    if compare is None:
        settings["validation_metrics"] = ()
    held_out = {"samples": toy_data(25)}
    data = {"samples": toy_data(64)}
    return Engine(
        toy_trainer(), data, EngineConfig(**settings), validation=held_out, compare=compare
    )


def test_values_are_logged_and_decide_what_is_best() -> None:
    compare, logged = Brightness(), Logged()
    ours = engine(compare)
    ours.add_observer(logged)
    ours.fit()
    found = {
        step: m["validation/mine/score"] for step, m in logged.metrics.items() if step in (4, 8)
    }
    assert found == {4: float(compare.calls[1][1].mean()), 8: float(compare.calls[2][1].mean())}
    best = max(found, key=lambda step: found[step])  # declared to be better when higher
    assert (ours.best.metric, ours.best.step) == ("validation/mine/score", best)


def test_as_many_generated_as_held_out_samples_are_compared_and_always_the_same() -> None:
    compare = Brightness()
    engine(compare).fit()
    real, generated = compare.calls[-1]
    assert torch.equal(real, compare.calls[0][0])
    among = (real[:, None] == toy_data(25)[None]).flatten(2).all(dim=2)  # (10, 25)
    assert among.any(dim=1).all()
    assert generated.shape == (10, 1, 8, 8)
    few = Brightness()
    engine(few, validation_metric_samples=1000).fit()
    assert [len(samples) for samples in few.calls[-1]] == [25, 25]


def test_samples_come_from_the_averaged_weights_and_the_same_latents() -> None:
    compare = Brightness()
    ours = engine(compare)
    ours.fit()
    last = compare.calls[-1][1]
    seed = ours._validation._comparison._seed
    averaged = next(draw_samples(ours.ema.generator, 10, seed=seed, device=ours.device))["samples"]
    live = next(draw_samples(ours.trainer.generator(), 10, seed=seed, device=ours.device))[
        "samples"
    ]
    assert torch.equal(last, averaged)
    assert not torch.equal(last, live)


def test_comparing_changes_no_bit_of_the_training() -> None:
    with_it, without = engine(Brightness(), validate_every=1), engine()
    before = torch.random.get_rng_state()
    with_it.check_validation()
    assert torch.equal(torch.random.get_rng_state(), before)
    for ours in (with_it, without):
        ours.fit()
    for name, value in without.state().weights.items():
        assert torch.equal(value, with_it.state().weights[name]), name


def test_a_metric_that_refuses_is_reported_before_the_first_step() -> None:
    compare = Brightness()
    compare.fails_from = 0
    ours = engine(compare)
    with pytest.raises(ConfigError, match="too dark"):
        ours.fit()
    assert ours.step == 0


def test_it_is_tried_out_once() -> None:
    compare = Brightness()
    ours = engine(compare)
    ours.check_validation()
    ours.fit()
    assert len(compare.calls) == 1 + 2


@pytest.mark.parametrize(
    ("chunk", "least", "tried"), [(1, 0, [8]), (4, 8, [8]), (12, 0, [12]), (64, 0, [25])]
)
def test_it_is_tried_out_on_few_samples(caplog, chunk: int, least: int, tried: list[int]) -> None:
    caplog.set_level("INFO", "aigc")
    compare = Brightness()
    compare.least = least
    ours = engine(compare, validation_metric_samples=25)
    ours.generator.sample_chunk = chunk
    ours.check_validation()
    assert [len(generated) for _, generated in compare.calls] == tried
    assert caplog.messages == [f"Trying out mine on {tried[0]} generated samples"]


def test_where_few_samples_are_refused_it_is_tried_out_on_all(caplog) -> None:
    caplog.set_level("INFO", "aigc")
    compare = Brightness()
    compare.least = 20
    ours = engine(compare, validation_metric_samples=25)
    ours.generator.sample_chunk = 1
    ours.check_validation()
    assert [len(generated) for _, generated in compare.calls] == [25]
    assert caplog.messages[-1] == "Trying out mine on 25 samples, since: 8 are too few"


def test_where_training_goes_on_a_metric_that_fails_is_a_warning(caplog) -> None:
    first = engine(Brightness(), steps=4)
    first.fit()
    compare = Brightness()
    compare.fails_from = 0
    second = engine(compare)
    second.load_state(first.state())
    assert second.fit().step == 8
    assert "What validations measure was not checked: too dark" in caplog.text
    assert "The samples of step 8 were not compared: too dark" in caplog.text


def test_names_of_metrics_alone_are_not_enough_for_an_engine() -> None:
    with pytest.raises(ConfigError, match="names metrics, and the engine was given none"):
        Engine(
            Scripted({}),
            {"samples": toy_data(64)},
            EngineConfig(**SETTINGS),
            validation={"samples": toy_data(25)},
        ).fit()


def test_a_metric_that_fails_later_is_a_warning(caplog) -> None:
    compare, logged = Brightness(), Logged()
    compare.fails_from = 2
    ours = engine(compare)
    ours.add_observer(logged)
    assert ours.fit().step == 8
    assert "The samples of step 8 were not compared: too dark" in caplog.text
    assert "validation/mine/score" in logged.metrics[4]
    assert "validation/mine/score" not in logged.metrics[8]

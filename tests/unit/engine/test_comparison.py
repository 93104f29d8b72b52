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

    def __call__(self, real, generated):
        torch.rand(3)
        if len(self.calls) >= self.fails_from:
            raise ConfigError("too dark")
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


def test_as_many_generated_as_held_out_samples_evenly_spread() -> None:
    compare = Brightness()
    engine(compare).check_validation()
    real, generated = compare.calls[0]
    assert torch.equal(real, toy_data(25)[torch.arange(10) * 25 // 10])
    assert generated.shape == (10, 1, 8, 8)
    few = Brightness()
    engine(few, validation_metric_samples=1000).check_validation()
    assert [len(samples) for samples in few.calls[0]] == [25, 25]


def test_samples_come_from_the_averaged_weights_and_the_same_latents() -> None:
    compare = Brightness()
    ours = engine(compare)
    ours.fit()
    last = compare.calls[-1][1]
    seed = ours._validation._comparison._seed
    averaged = next(draw_samples(ours.ema.generator, 10, seed=seed, device=ours.device))
    live = next(draw_samples(ours.trainer.generator(), 10, seed=seed, device=ours.device))
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


def test_a_metric_that_refuses_is_told_before_the_first_step() -> None:
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

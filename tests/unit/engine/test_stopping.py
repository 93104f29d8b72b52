"""Training ends when a validation says that it may, and remembers which was the best."""

import json
import math

import pytest
import torch
from toys import Scripted, toy_data, toy_trainer

from aigc_core import ConfigError, Engine, EngineConfig, EngineObserver, Trainer
from aigc_core.engine import State

SETTINGS = {"batch_size": 16, "device": "cpu", "validate_every": 2, "log_every": 100}
SETTINGS |= {"sample_every": 100, "checkpoint": {"every": 100}, "precision": "fp32"}
FALLING = {2: 5.0, 4: 4.0, 6: 3.0, 8: 2.0, 10: 1.0}
HILLY = {2: 5.0, 4: 3.0, 6: 4.0, 8: 6.0, 10: 2.0, 12: 2.0, 14: 2.5}


class Told(EngineObserver):
    """Steps at which the engine reported of something."""

    def __init__(self) -> None:
        self.steps: dict[str, list[int]] = {"log": [], "checkpoint": [], "samples": []}
        self.metrics: dict[int, dict[str, float]] = {}

    def metrics_logged(self, engine, metrics) -> None:
        self.steps["log"].append(engine.step)
        self.metrics[engine.step] = dict(metrics)

    def checkpoint_due(self, engine) -> None:
        self.steps["checkpoint"].append(engine.step)

    def samples_due(self, engine) -> None:
        self.steps["samples"].append(engine.step)


def engine(trainer: Trainer, reported: Told | None = None, steps: int = 14, **changes) -> Engine:
    checkpoint = SETTINGS["checkpoint"] | changes.pop("checkpoint", {})
    config = EngineConfig(**SETTINGS | {"steps": steps, "checkpoint": checkpoint} | changes)
    data, held_out = {"samples": toy_data(64)}, {"samples": toy_data(20)}
    observers = [reported] if reported else []
    return Engine(trainer, data, config, validation=held_out, observers=observers)


def at_most(bound: float, metric: str = "validation/loss") -> dict[str, object]:
    return {"metric": metric, "at_most": bound}


def test_the_first_validation_that_meets_the_standard_ends_training_like_a_last_step() -> None:
    reported = Told()
    result = engine(Scripted(FALLING), reported, standard=at_most(3.0)).fit()
    assert (result.step, result.signal, result.ending.reason) == (6, None, "standard")
    assert result.ending.message == ("reached the standard validation/loss <= 3 with 3 at step 6")
    assert [steps[-1] for steps in reported.steps.values()] == [6, 6, 6]


def test_a_standard_can_be_a_lower_bound() -> None:
    rising = {2: 0.5, 4: 0.8, 6: 0.9}
    trainer = Scripted(rising, "accuracy")
    standard = {"metric": "validation/accuracy", "at_least": 0.75}
    ours = engine(trainer, standard=standard)
    assert ours.fit().step == 4
    assert (ours.best.metric, ours.best.step) == ("validation/accuracy", 4)


def test_a_standard_that_is_not_reached_is_reported_with_the_best() -> None:
    result = engine(Scripted(HILLY), standard=at_most(1.0)).fit()
    assert (result.step, result.ending.reason) == (14, "steps")
    assert result.ending.message == (
        "did all 14 steps; the standard validation/loss <= 1 was not reached: "
        "the best was 2 at step 10"
    )


def test_a_standard_that_the_last_step_meets_is_reached() -> None:
    result = engine(Scripted({14: 0.5}), standard=at_most(1.0)).fit()
    assert (result.step, result.ending.reason) == (14, "standard")


def test_patience_counts_validations_without_a_new_best() -> None:
    result = engine(Scripted(HILLY), patience=2).fit()
    assert (result.step, result.ending.reason) == (8, "patience")
    assert result.ending.message == (
        "found no better validation/loss in 2 validations up to step 8 than 3 at step 4"
    )
    assert engine(Scripted(HILLY), patience=3).fit().ending.reason == "steps"


@pytest.mark.parametrize(
    ("higher", "script", "best"),
    [(False, HILLY, (2.0, 10)), (True, HILLY, (6.0, 8)), (False, {4: math.nan, 8: 1.0}, (1.0, 8))],
)
def test_the_best_is_the_lowest_unless_the_trainer_says_otherwise(higher, script, best) -> None:
    """Of equals the first counts, and what is not a number never does."""
    ours = engine(Scripted(script, higher=higher))
    ours.fit()
    assert (ours.best.value, ours.best.step) == best


def test_a_value_that_is_not_a_number_meets_no_standard() -> None:
    nan = dict.fromkeys(range(15), math.nan)
    assert engine(Scripted(nan), standard=at_most(1.0)).fit().ending.reason == "steps"
    standard = {"metric": "validation/score", "at_least": 1}
    assert engine(Scripted(nan, "score"), standard=standard).fit().ending.reason == "steps"


def test_each_new_best_is_saved_between_the_intervals_and_only_those() -> None:
    reported = Told()
    engine(Scripted(HILLY), reported).fit()
    assert reported.steps["checkpoint"] == [2, 4, 10, 14]
    reported = Told()
    engine(Scripted(HILLY), reported, checkpoint={"keep_best": None}).fit()
    assert reported.steps["checkpoint"] == [14]


@pytest.mark.parametrize(
    ("name", "changes", "metric"),
    [
        ("loss", {}, "validation/loss"),
        ("accuracy", {}, "validation/other"),  # the first that is measured
        ("accuracy", {"standard": at_most(-1, "validation/accuracy")}, "validation/accuracy"),
        (
            "loss",
            {"standard": at_most(-1), "checkpoint": {"keep_best": "validation/other"}},
            "validation/other",
        ),
    ],
)
def test_what_decides_by_itself(name, changes, metric) -> None:
    ours = engine(Scripted(HILLY, name), steps=4, **changes)
    ours.fit()
    assert ours.best.metric == metric


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"standard": at_most(1, "validation/los")},
            r"engine\.standard\.metric=validation/los is not measured .* Did you mean "
            r"'validation/loss'\? Measured: validation/loss, validation/other\.",
        ),
        ({"standard": at_most(1, "loss")}, "Did you mean 'validation/loss'"),
        ({"standard": at_most(1, "qqqq")}, "Valid: validation/loss, validation/other"),
        (
            {"checkpoint": {"keep_best": "validation/los"}},
            r"engine\.checkpoint\.keep_best=validation/los is not measured",
        ),
        (
            {"standard": {"metric": "validation/loss", "at_least": 1}},
            "validation/loss is better when lower. Give at_most",
        ),
    ],
)
def test_what_is_not_measured_is_reported_before_the_first_step(changes, message) -> None:
    reported = Told()
    ours = engine(Scripted(HILLY), reported, **changes)
    with pytest.raises(ConfigError, match=message):
        ours.fit()
    assert ours.step == 0
    assert not any(reported.steps.values())


def test_a_bound_below_what_should_rise_is_refused() -> None:
    ours = engine(Scripted(HILLY, "score", higher=True), standard=at_most(1, "validation/score"))
    with pytest.raises(ConfigError, match=r"better when higher\. Give at_least"):
        ours.fit()


@pytest.mark.parametrize(
    "changes", [{"standard": at_most(1)}, {"patience": 2}, {"validation_metrics": ("a",)}]
)
def test_without_anything_to_validate_that_is_reported(changes) -> None:
    config = EngineConfig(**SETTINGS | {"steps": 4} | changes)
    without_data = Engine(Scripted(HILLY), {"samples": toy_data(64)}, config)
    with pytest.raises(ConfigError, match="needs validation, and there is no held-out data"):
        without_data.fit()
    unmeasured = Engine(
        toy_trainer(), {"samples": toy_data(64)}, config, validation={"samples": toy_data(20)}
    )
    with pytest.raises(ConfigError, match="nothing that is measured there"):
        unmeasured.fit()


@pytest.mark.parametrize(
    ("at", "patience"), [*((at, None) for at in range(1, 14)), *((at, 2) for at in range(1, 8))]
)
def test_an_interruption_changes_neither_the_best_nor_the_end(at: int, patience) -> None:
    straight = engine(Scripted(HILLY), patience=patience)
    end = straight.fit()
    first = engine(Scripted(HILLY), patience=patience, checkpoint={"every": 1})
    saved: list[State] = []

    class Keep(EngineObserver):
        def checkpoint_due(self, engine: Engine) -> None:
            state = engine.state()
            tensors = [{n: t.clone() for n, t in d.items()} for d in (state.weights, state.tensors)]
            scalars = json.loads(json.dumps(state.scalars))  # as on disk
            saved.append(State(*tensors, scalars))

    first.add_observer(Keep())
    first.fit()
    second = engine(Scripted(HILLY), patience=patience)
    second.load_state(next(s for s in saved if s.scalars["step"] == at))
    assert second.fit() == end
    assert second.best == straight.best
    assert second.state().scalars["validations"] == straight.state().scalars["validations"]
    for name, value in straight.state().weights.items():
        assert torch.equal(value, second.state().weights[name]), name


def test_whoever_goes_on_after_patience_was_lost_gets_it_anew() -> None:
    first = engine(Scripted(HILLY), patience=2)
    first.fit()
    second = engine(Scripted(HILLY), patience=2)
    second.load_state(first.state())
    assert second.fit().step == 14  # 10 is better, and 12 and 14 are not
    assert second.best.step == 10

"""A training that stopped and went on ends with the same bits as one that did not."""

import os
import signal
import threading

import pytest
import torch
from toys import toy_data, toy_trainer

from aigc_core import (
    AdversarialConfig,
    Engine,
    EngineConfig,
    EngineObserver,
    OptimizerConfig,
    RunError,
)
from aigc_core.engine import State
from aigc_core.errors import TrainingError

SETTINGS = {"steps": 9, "batch_size": 16, "device": "cpu", "log_every": 4, "ema": 0.99}


SGD = OptimizerConfig(name="sgd", lr=0.01, momentum=0.9)
ADAGRAD = OptimizerConfig(name="Adagrad", lr=0.01, options={"initial_accumulator_value": 0.1})
RMSPROP = OptimizerConfig(name="rmsprop", lr=1e-3, momentum=0.9, options={"centered": True})
ADAFACTOR = OptimizerConfig(name="Adafactor", lr=1e-3)
NADAM = OptimizerConfig(name="NAdam", lr=1e-3, clip_grad_norm=0.5)
CLIPPED = OptimizerConfig(name="adamw", lr=1e-3, weight_decay=0.1, clip_grad_norm=0.5)


def engine(trainer_seed: int = 0, **changes: object) -> Engine:
    trainer = toy_trainer(changes.pop("trainer", None), seed=trainer_seed)
    return Engine(trainer, {"samples": toy_data()}, EngineConfig(**SETTINGS | changes))


def snapshot(source: Engine) -> State:
    state = source.state()
    return State(
        {n: t.clone() for n, t in state.weights.items()},
        {n: t.clone() for n, t in state.tensors.items()},
        state.scalars,
    )


def stopped_and_resumed(at: int, **changes: object) -> Engine:
    first = engine(**changes)
    first.fit(until_step=at)
    second = engine(trainer_seed=99, **changes)  # other weights, all to be replaced
    second.load_state(snapshot(first))
    second.fit()
    return second


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "fp32"},
        {"precision": "bf16"},
        {"precision": "fp32", "ema": None, "accumulate": 2},
        {"precision": "fp32", "trainer": AdversarialConfig(critic_steps=3)},
        {"precision": "fp32", "trainer": AdversarialConfig(generator=SGD, discriminator=CLIPPED)},
        {"trainer": AdversarialConfig(generator=ADAGRAD, discriminator=RMSPROP)},
        {"trainer": AdversarialConfig(generator=ADAFACTOR, discriminator=NADAM)},
    ],
    ids=[
        "fp32",
        "bf16",
        "accumulate",
        "critic-steps",
        "sgd-and-clipped-adamw",
        "adagrad-rmsprop",
        "adafactor-nadam",
    ],
)
@pytest.mark.parametrize("at", [1, 5])
def test_stopping_changes_nothing(at: int, changes: dict[str, object]) -> None:
    straight = engine(**changes)
    straight.fit()
    resumed = stopped_and_resumed(at, **changes)
    ours, theirs = straight.state(), resumed.state()
    assert ours.weights.keys() == theirs.weights.keys()
    for name in ours.weights:
        assert torch.equal(ours.weights[name], theirs.weights[name]), name
    assert ours.tensors.keys() == theirs.tensors.keys()
    for name in ours.tensors:
        assert torch.equal(ours.tensors[name], theirs.tensors[name]), name


def test_means_of_an_unfinished_log_interval_are_kept() -> None:
    class Losses(EngineObserver):
        def __init__(self) -> None:
            self.reported: dict[int, float] = {}

        def metrics_logged(self, engine: Engine, metrics: dict[str, float]) -> None:
            self.reported[engine.step] = metrics["loss/generator"]

    straight, resumed = Losses(), Losses()
    whole = engine()
    whole.add_observer(straight)
    whole.fit()
    first = engine()
    state = None

    class StopAtSix(EngineObserver):
        def checkpoint_due(self, engine: Engine) -> None:
            nonlocal state
            state = state or snapshot(engine)

    first = engine(checkpoint={"every": 6})
    first.add_observer(StopAtSix())
    first.fit()
    second = engine()
    second.load_state(state)
    second.add_observer(resumed)
    second.fit()
    assert resumed.reported == {8: straight.reported[8], 9: straight.reported[9]}


def test_a_state_of_another_model_is_refused_and_nothing_changes() -> None:
    ours = engine()
    before = snapshot(ours)
    weights = dict(before.weights)
    weights["generator.layers.9.weight"] = weights.pop("generator.layers.0.weight")
    with pytest.raises(RunError, match=r"it lacks 'generator.layers.0.weight'"):
        ours.load_state(State(weights, before.tensors, before.scalars))
    for name, value in ours.state().weights.items():
        assert torch.equal(value, before.weights[name])


@pytest.mark.parametrize(
    ("trainer", "changes", "reported"),
    [
        (AdversarialConfig(generator=SGD), {}, "another optimiser than SGD"),
        (AdversarialConfig(), {"batch_size": 8}, "16 samples a step, and there are 8 now"),
        (AdversarialConfig(critic_steps=2), {}, "there are 32 now"),
    ],
)
def test_a_state_of_another_training_is_refused_and_nothing_changes(
    trainer, changes, reported
) -> None:
    first = engine()
    first.fit()
    ours = engine(trainer_seed=1, trainer=trainer, **changes)
    before = snapshot(ours)
    with pytest.raises(RunError, match=reported):
        ours.load_state(snapshot(first))
    for name, value in ours.state().weights.items():
        assert torch.equal(value, before.weights[name])


def test_a_step_that_broke_halfway_is_not_trained_on(monkeypatch) -> None:
    ours = engine()
    saved = snapshot(ours)
    fails = [True]

    def once(samples: torch.Tensor) -> torch.Tensor:
        if fails:
            fails.clear()
            raise MemoryError
        return samples

    ours.data._transforms["samples"] = once
    with pytest.raises(MemoryError):
        ours.fit()
    with pytest.raises(TrainingError, match="interrupted halfway"):
        ours.fit()
    ours.load_state(saved)
    ours.fit()
    whole = engine()
    whole.fit()
    for name, value in whole.state().weights.items():
        assert torch.equal(value, ours.state().weights[name]), name


def test_a_signal_ends_training_after_the_step_with_a_checkpoint() -> None:
    class Interrupt(EngineObserver):
        saved: list[int] = []

        def metrics_logged(self, engine: Engine, metrics: dict[str, float]) -> None:
            os.kill(os.getpid(), signal.SIGINT)

        def checkpoint_due(self, engine: Engine) -> None:
            self.saved.append(engine.step)

    observer = Interrupt()
    before = signal.getsignal(signal.SIGINT)
    ours = engine()
    ours.add_observer(observer)
    result = ours.fit()
    assert (result.step, result.signal) == (4, signal.SIGINT)
    assert observer.saved == [4]
    assert signal.getsignal(signal.SIGINT) is before


def test_training_works_outside_the_main_thread() -> None:
    ours = engine()
    thread = threading.Thread(target=ours.fit)
    thread.start()
    thread.join()
    assert ours.step == 9

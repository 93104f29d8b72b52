"""An update that is not finite leaves no trace; many in a row end the training."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor
from toys import toy_data, toy_trainer

from aigc_core import (
    AdversarialConfig,
    Engine,
    EngineConfig,
    EngineObserver,
    OptimizerConfig,
)
from aigc_core.errors import TrainingError

BY_NAME = [
    "RMSprop",
    "Adagrad",
    "Adadelta",
    "Adamax",
    "NAdam",
    "RAdam",
    "ASGD",
    "Rprop",
    "Adafactor",
]
OPTIMIZERS = ["adam", "adamw", "sgd", *BY_NAME]


class Recorder(EngineObserver):
    def __init__(self) -> None:
        self.metrics: list[Mapping[str, float]] = []

    def metrics_logged(self, engine: Engine, metrics: Mapping[str, float]) -> None:
        self.metrics.append(metrics)


def optimizer_of(name: str) -> OptimizerConfig:
    momentum = {"momentum": 0.9} if name in ("sgd", "RMSprop") else {}
    return OptimizerConfig(name=name, lr=1e-3, **momentum)


def config(**changes: object) -> EngineConfig:
    return EngineConfig(
        **{"steps": 4, "batch_size": 8, "device": "cpu", "precision": "fp32", "log_every": 1}
        | changes
    )


def poisoned(samples: Tensor) -> Tensor:
    return samples * float("nan")


def copied(engine: Engine) -> dict[str, Tensor]:
    state = engine.state()
    return {n: v.clone() for n, v in {**state.weights, **state.tensors}.items() if "guard" not in n}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_poisoned_batch_spoils_no_weight_no_optimiser_and_no_statistic(optimizer: str) -> None:
    setting = optimizer_of(optimizer)
    trainer = toy_trainer(AdversarialConfig(generator=setting, discriminator=setting))
    recorder = Recorder()
    engine = Engine(
        trainer, {"samples": toy_data()}, config(steps=5, ema=0.9), observers=[recorder]
    )
    engine.fit(until_step=4)
    before = copied(engine)

    engine.data._transforms["samples"] = poisoned
    engine.fit()
    after = copied(engine)

    statistics = {n for n in before if "running" in n}
    trained = {n for n in before if n.startswith(("discriminator.", "phase/discriminator"))}
    for name in trained - statistics:
        if "num_batches_tracked" not in name:
            assert torch.equal(before[name], after[name]), name
    for name in statistics:  # the generator's healthy phase moved them on
        assert torch.isfinite(after[name]).all(), name
    assert recorder.metrics[-1]["skipped_updates"] == 1


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_recovers_when_the_very_first_update_is_skipped(optimizer: str) -> None:
    """PyTorch's fused SGD leaves its momentum uninitialised when its first step is skipped."""
    setting = optimizer_of(optimizer)
    trainer = toy_trainer(AdversarialConfig(generator=setting, discriminator=setting))
    engine = Engine(trainer, {"samples": toy_data()}, config(), transform=poisoned)
    engine.fit(until_step=1)
    engine.data._transforms.clear()
    engine.fit()
    for name, value in copied(engine).items():
        assert torch.isfinite(value).all(), name
        assert value.abs().max() < 1e3, name


def test_the_generator_still_learns_in_a_step_whose_real_batch_is_poisoned() -> None:
    engine = Engine(toy_trainer(), {"samples": toy_data()}, config(), transform=poisoned)
    before = copied(engine)
    engine.fit()
    after = copied(engine)
    name = "generator.layers.0.weight"
    assert torch.isfinite(after[name]).all()
    assert not torch.equal(before[name], after[name])


def test_a_training_whose_updates_are_all_skipped_ends_with_a_sentence() -> None:
    engine = Engine(
        toy_trainer(),
        {"samples": toy_data()},
        config(steps=50, max_skipped_steps=5),
        transform=poisoned,
    )
    with pytest.raises(TrainingError, match="diverged: at step 5, the last 5 updates"):
        engine.fit()

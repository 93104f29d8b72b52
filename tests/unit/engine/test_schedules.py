"""Learning rates by step: warm-up, schedules, and what the engine makes of them."""

import pytest
import torch
from toys import toy_data, toy_trainer

from aigc_core import (
    AdversarialConfig,
    Engine,
    EngineConfig,
    EngineObserver,
    OptimizerConfig,
    Phase,
)
from aigc_core.engine.optimizers import build_optimizer, learning_rate
from aigc_core.errors import ConfigError


def rates(config: OptimizerConfig, steps: int) -> list[float]:
    return [learning_rate(config, step, steps) for step in range(steps + 1)]


def test_without_a_schedule_the_rate_is_constant() -> None:
    assert set(rates(OptimizerConfig(lr=0.1), 10)) == {0.1}


def test_the_warm_up_rises_linearly_to_the_rate() -> None:
    config = OptimizerConfig(lr=1.0, warmup_steps=4)
    assert rates(config, 6) == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 1])


def test_cosine_falls_from_the_rate_through_the_middle_to_the_last() -> None:
    config = OptimizerConfig(lr=1.0, schedule="cosine", warmup_steps=10, final_lr=0.1)
    found = rates(config, 110)
    assert found[10] == pytest.approx(1.0)
    assert found[60] == pytest.approx(0.55)
    assert found[110] == pytest.approx(0.1)
    assert found[10:] == sorted(found[10:], reverse=True)


def test_linear_falls_in_equal_steps_and_stays_after_its_end() -> None:
    config = OptimizerConfig(lr=1.0, schedule="linear", decay_steps=4)
    assert rates(config, 6) == pytest.approx([1, 0.75, 0.5, 0.25, 0, 0, 0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": 0.1, "final_lr": 0.2}, "final_lr=0.2 is more than lr=0.1"),
        ({"warmup_steps": 5, "decay_steps": 5}, "decay_steps must be more than warmup_steps"),
    ],
)
def test_a_schedule_that_contradicts_itself_is_refused(settings, message) -> None:
    with pytest.raises(ConfigError, match=message):
        OptimizerConfig(**settings)


def test_biases_can_be_spared_from_weight_decay() -> None:
    layer = torch.nn.Linear(3, 2)
    config = OptimizerConfig(name="adamw", weight_decay=0.1, decay_matrices_only=True)
    groups = build_optimizer(
        Phase("p", ("net",), lambda batch, state: batch["samples"], config),
        list(layer.parameters()),
        torch.device("cpu"),
    ).param_groups
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert decays == {id(layer.weight): 0.1, id(layer.bias): 0.0}


class Rates(EngineObserver):
    def __init__(self) -> None:
        self.seen: list[float] = []

    def metrics_logged(self, engine, metrics) -> None:
        self.seen.append(metrics["learning_rate/generator"])


def scheduled_engine(steps: int, observer: Rates | None = None) -> Engine:
    schedule = OptimizerConfig(lr=1e-3, schedule="linear", warmup_steps=1, decay_steps=6)
    trainer = toy_trainer(AdversarialConfig(generator=schedule))
    config = EngineConfig(steps=steps, batch_size=8, log_every=1, device="cpu")
    return Engine(trainer, {"samples": toy_data()}, config, observers=[observer or Rates()])


def test_the_engine_logs_the_rate_it_used() -> None:
    observer = Rates()
    scheduled_engine(6, observer).fit()
    assert observer.seen == pytest.approx([5e-4, 1e-3, 8e-4, 6e-4, 4e-4, 2e-4])


def test_a_rate_of_zero_changes_nothing() -> None:
    """What the optimizer uses is the schedule's rate, not the configuration's."""
    six, eight = scheduled_engine(6), scheduled_engine(8)
    six.fit()
    eight.fit()  # steps 7 and 8 are after the schedule's end
    weights = [dict(e.trainer.networks())["generator"].state_dict() for e in (six, eight)]
    for name in ("layers.0.weight", "layers.3.weight"):
        assert torch.equal(weights[0][name], weights[1][name])


def test_a_resumed_engine_goes_on_with_the_schedule() -> None:
    whole, first, second = scheduled_engine(4), scheduled_engine(2), scheduled_engine(4)
    whole.fit()
    first.fit()
    second.load_state(first.state())
    second.fit()
    for name, value in whole.state().weights.items():
        assert torch.equal(value, second.state().weights[name]), name

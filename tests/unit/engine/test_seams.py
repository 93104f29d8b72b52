"""What a trainer can do between and around its phases."""

from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import Tensor, nn

from aigc_core import (
    Batch,
    ConfigError,
    Engine,
    EngineConfig,
    EngineObserver,
    Generator,
    OptimizerConfig,
    Phase,
    StepState,
    Trainer,
)

SGD = OptimizerConfig(name="sgd", lr=0.1)
DATA = {"samples": torch.arange(12.0)[:, None]}


class Scale(Generator):
    """One weight: samples are its value."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def sample(self, count: int, *, rng: torch.Generator, conditions, controls) -> Tensor:
        return self.weight.expand(count)[:, None]


class Memory(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("probability", torch.zeros(()))
        self.register_buffer("target", torch.ones(1))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))


class Remembering(Trainer):
    """Keeps a target network's weight and a probability, and may end the training."""

    def __init__(self, stop_at: int | None = None, **phase: object) -> None:
        self.scale, self.memory = Scale(), Memory()
        self.stop_at, self.options = stop_at, phase
        self.states: list[StepState] = []
        self.validated: list[StepState] = []

    def networks(self) -> Mapping[str, nn.Module]:
        return {"scale": self.scale}

    def generator(self) -> Generator:
        return self.scale

    def state(self) -> nn.Module:
        return self.memory

    def phases(self) -> Sequence[Phase]:
        return [
            Phase("main", ("scale",), self.loss, SGD),
            Phase("late", ("scale",), self.loss, SGD, **self.options),
        ]

    def loss(self, batch: Batch, state: StepState) -> Tensor:
        self.states.append(state)
        return (self.scale.weight - 0.1 * batch["samples"].mean()).square().sum()

    def after_step(self, state: StepState) -> None:
        assert not torch.is_grad_enabled()
        self.memory.probability += 0.125
        self.memory.steps += 1
        self.memory.target.lerp_(self.scale.weight.detach(), 0.5)
        if self.stop_at is not None and state.step + 1 == self.stop_at:
            state.request_stop("epsilon 8 is spent")

    def validation(self):
        def measure(batch: Batch, state: StepState) -> Mapping[str, Tensor]:
            self.validated.append(state)
            return {"loss": self.memory.probability}

        return measure


class Watching(EngineObserver):
    def __init__(self) -> None:
        self.metrics: list[Mapping[str, float]] = []
        self.saved: list[int] = []

    def metrics_logged(self, engine: Engine, metrics: Mapping[str, float]) -> None:
        self.metrics.append(metrics)

    def checkpoint_due(self, engine: Engine) -> None:
        self.saved.append(engine.step)


def engine_of(trainer: Trainer, watching: Sequence[EngineObserver] = (), **changes) -> Engine:
    settings = {"steps": 6, "batch_size": 4, "device": "cpu", "log_every": 1}
    config = EngineConfig(**settings | changes)
    return Engine(trainer, DATA, config, validation=DATA, observers=watching)


def test_a_phase_runs_only_while_it_is_active_and_an_idle_one_logs_nothing() -> None:
    watching = Watching()
    trainer = Remembering(active=lambda step: 2 <= step < 4)
    engine_of(trainer, [watching]).fit()
    logged = ["loss/late" in metrics for metrics in watching.metrics]
    assert logged == [False, False, True, True, False, False]
    assert not any("late" in name for name in watching.metrics[0])


def test_the_rate_of_an_idle_phase_is_not_logged() -> None:
    watching = Watching()
    trainer = Remembering(active=lambda step: step > 0)
    trainer.options["optimizer"] = OptimizerConfig(name="sgd", lr=0.1, schedule="cosine")
    trainer.phases = lambda: [
        Phase("main", ("scale",), trainer.loss, SGD),
        Phase("late", ("scale",), trainer.loss, **trainer.options),
    ]
    engine_of(trainer, [watching]).fit()
    assert "learning_rate/late" not in watching.metrics[0]
    assert "learning_rate/late" in watching.metrics[1]


def test_what_a_trainer_remembers_is_saved_and_restored_and_never_averaged() -> None:
    whole = engine_of(Remembering(), ema=0.5)
    whole.fit()
    first = engine_of(Remembering(), ema=0.5)
    first.fit(until_step=3)
    state = first.state()
    assert state.weights["state.probability"] == 0.375
    assert state.weights["state.steps"] == 3
    assert not any(name.startswith("ema.") and "probability" in name for name in state.weights)

    again = Remembering()
    second = engine_of(again, ema=0.5)
    second.load_state(state)
    second.fit()
    assert again.memory.steps == 6
    for name, value in whole.state().weights.items():
        assert torch.equal(value, second.state().weights[name]), name


def test_a_network_cannot_have_the_name_of_the_state() -> None:
    trainer = Remembering()
    trainer.networks = lambda: {"state": trainer.scale}
    with pytest.raises(ConfigError, match="cannot be named 'state'"):
        engine_of(trainer)


def test_a_trainer_can_end_the_training_with_a_checkpoint() -> None:
    watching = Watching()
    engine = engine_of(Remembering(stop_at=4), [watching], steps=50)
    result = engine.fit()
    assert (result.step, watching.saved) == (4, [4])
    assert result.ending is not None
    assert result.ending.reason == "stopped"
    assert result.ending.message == "was stopped at step 4: epsilon 8 is spent"


def test_a_step_knows_the_training_it_belongs_to() -> None:
    trainer = Remembering()
    engine_of(trainer, validate_every=6).fit()
    last = trainer.states[-1]
    assert (last.step, last.total_steps, last.training) == (5, 6, True)
    assert last.epoch == pytest.approx(5 * 4 / 12)
    validated = trainer.validated[-1]
    assert (validated.step, validated.total_steps, validated.training) == (6, 6, False)
    assert validated.epoch == pytest.approx(2)


class Clock:
    """Each reading is a second after the last one."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        self.now += 1
        return self.now


def test_training_ends_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aigc_core.engine.engine.time", Clock())
    watching = Watching()
    engine = engine_of(Remembering(), [watching], steps=50, max_time=20, log_every=50)
    result = engine.fit()
    assert 1 < result.step < 50
    assert result.ending is not None
    assert result.ending.reason == "time"
    assert result.ending.message.startswith("trained for 20s, its max_time, up to step")
    assert watching.saved == [result.step]
    assert engine.train_seconds >= 20

    again = engine_of(Remembering(), steps=50, max_time=40, log_every=50)
    again.load_state(engine.state())
    assert result.step < again.fit().step < 50
    assert again.train_seconds >= 40


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("90", 90), ("45s", 45), ("30m", 1800), ("1h30m", 5400), ("2d", 172800), ("0.5h", 1800)],
)
def test_time_is_given_as_people_write_it(given: str, seconds: float) -> None:
    assert EngineConfig(steps=1, max_time=given).max_time == seconds


@pytest.mark.parametrize("given", ["soon", "30 minutes", "", "-5m", 0])
def test_what_is_no_time_is_refused(given: object) -> None:
    with pytest.raises(ConfigError, match="max_time"):
        EngineConfig(steps=1, max_time=given)

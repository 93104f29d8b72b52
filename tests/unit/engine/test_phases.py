"""The phase machinery: who is updated, how often, on which batch, and by how much."""

from collections.abc import Callable, Mapping, Sequence

import pytest
import torch
from torch import Tensor, nn

from aigc_core import (
    Batch,
    ConfigError,
    Engine,
    EngineConfig,
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

    def forward(self, samples: Tensor) -> Tensor:
        return samples * self.weight

    def sample(self, count: int, *, rng: torch.Generator, conditions, controls) -> Tensor:
        return self.weight.expand(count)[:, None]


class Phases(Trainer):
    """Two networks, and the phases that a test gives."""

    def __init__(self, phases: Callable[["Phases"], Sequence[Phase]]) -> None:
        self.a, self.b = Scale(), Scale()
        self._phases = phases
        self.seen: list[tuple[str, int, list[float]]] = []

    def networks(self) -> Mapping[str, nn.Module]:
        return {"a": self.a, "b": self.b}

    def generator(self) -> Generator:
        return self.a

    def phases(self) -> Sequence[Phase]:
        return self._phases(self)

    def both(self, name: str) -> Callable[[Batch, StepState], Mapping[str, Tensor]]:
        """A loss that reaches the weights of both networks."""

        def loss(batch: Batch, state: StepState) -> Mapping[str, Tensor]:
            self.seen.append((name, state.step, batch["samples"].flatten().tolist()))
            return {"term": self.b(self.a(batch["samples"])).mean()}

        return loss


def fit(trainer: Trainer, **config: object) -> Engine:
    settings = {"steps": 1, "batch_size": 2, "device": "cpu", "precision": "fp32"} | config
    engine = Engine(trainer, DATA, EngineConfig(**settings))
    engine.fit()
    return engine


def test_a_phase_changes_only_the_networks_it_names() -> None:
    trainer = Phases(lambda t: [Phase("one", ("a",), t.both("one"), SGD)])
    fit(trainer, steps=3)
    assert trainer.a.weight.item() != 1
    assert trainer.b.weight.item() == 1
    assert trainer.b.weight.grad is None


def test_gradients_of_one_phase_do_not_reach_the_next() -> None:
    """The generator's graph back-propagated in the discriminator's turn is a classic fault."""
    trainer = Phases(
        lambda t: [
            Phase("one", ("a",), t.both("one"), SGD),
            Phase("two", ("b",), t.both("two"), SGD),
        ]
    )
    fit(trainer)
    mean = sum(trainer.seen[0][2]) / 2
    a = 1 - 0.1 * mean
    assert trainer.a.weight.item() == pytest.approx(a)
    assert trainer.b.weight.item() == pytest.approx(1 - 0.1 * mean * a)


def test_every_runs_a_phase_on_every_nth_step() -> None:
    trainer = Phases(
        lambda t: [
            Phase("often", ("a",), t.both("often"), SGD),
            Phase("rarely", ("b",), t.both("rarely"), SGD, every=3),
        ]
    )
    fit(trainer, steps=7)
    assert [step for name, step, _ in trainer.seen if name == "rarely"] == [0, 3, 6]
    assert [step for name, step, _ in trainer.seen if name == "often"] == list(range(7))


def test_each_repeat_has_its_own_batch_and_phases_share_the_first() -> None:
    trainer = Phases(
        lambda t: [
            Phase("critic", ("b",), t.both("critic"), SGD, repeats=3),
            Phase("generator", ("a",), t.both("generator"), SGD),
        ]
    )
    fit(trainer, steps=2)
    critic = [batch for name, _, batch in trainer.seen if name == "critic"]
    generator = [batch for name, _, batch in trainer.seen if name == "generator"]
    assert generator == [critic[0], critic[3]]
    seen = [value for batch in critic for value in batch]
    assert sorted(seen) == DATA["samples"].flatten().tolist()  # one epoch


def test_what_a_phase_computed_is_there_for_the_next_one_and_gone_in_the_next_step() -> None:
    found = []

    def first(batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        found.append(dict(state.scratch))
        state.scratch["made"] = state.step
        return {"term": trainer.a(batch["samples"]).mean()}

    def second(batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        found.append(dict(state.scratch))
        return {"term": trainer.b(batch["samples"]).mean()}

    trainer = Phases(
        lambda t: [Phase("one", ("a",), first, SGD), Phase("two", ("b",), second, SGD)]
    )
    fit(trainer, steps=2)
    assert found == [{}, {"made": 0}, {}, {"made": 1}]


def test_clipping_limits_one_phase_and_not_the_other() -> None:
    clipped = OptimizerConfig(name="sgd", lr=0.1, clip_grad_norm=0.5)
    trainer = Phases(
        lambda t: [
            Phase("one", ("a",), t.both("one"), clipped),
            Phase("two", ("b",), t.both("two"), SGD),
        ]
    )
    engine = fit(trainer)
    assert trainer.a.weight.item() == pytest.approx(1 - 0.1 * 0.5, abs=1e-6)
    assert abs(trainer.b.weight.item() - 1) > 0.1
    assert engine.step == 1


def test_accumulated_parts_are_the_batch_in_order() -> None:
    whole = Phases(lambda t: [Phase("one", ("a",), t.both("one"), SGD)])
    parts = Phases(lambda t: [Phase("one", ("a",), t.both("one"), SGD)])
    fit(whole, batch_size=6, steps=2)
    fit(parts, batch_size=6, accumulate=3, steps=2)
    assert [x for _, _, b in whole.seen for x in b] == [x for _, _, b in parts.seen for x in b]
    assert whole.a.weight.item() == pytest.approx(parts.a.weight.item())


def test_a_network_that_no_phase_names_is_saved_and_never_changes() -> None:
    trainer = Phases(lambda t: [Phase("one", ("a",), t.both("one"), SGD)])
    engine = fit(trainer)
    assert engine.state().weights["b.weight"].item() == 1


@pytest.mark.parametrize("channels_last", [True, False])
def test_images_come_in_the_memory_format_of_the_networks(channels_last: bool) -> None:
    formats = []

    def loss(batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        formats.append(batch["samples"].is_contiguous(memory_format=torch.channels_last))
        return {"term": trainer.a(batch["samples"]).mean()}

    trainer = Phases(lambda t: [Phase("one", ("a",), loss, SGD)])
    settings = {"steps": 1, "batch_size": 2, "device": "cpu", "channels_last": channels_last}
    Engine(trainer, {"samples": torch.rand(4, 3, 8, 8)}, EngineConfig(**settings)).fit()
    assert formats == [channels_last]


def test_the_same_seed_draws_the_same_numbers_whatever_ran_before() -> None:
    drawn: list[list[float]] = []

    def loss(batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        drawn.append(state.randn(3).tolist() + torch.rand(2).tolist())  # its own, and the global
        return {"term": trainer.a(batch["samples"]).mean()}

    for noise in (1, 2):
        torch.manual_seed(noise)
        trainer = Phases(lambda t: [Phase("one", ("a",), loss, SGD)])
        fit(trainer, steps=2)
    assert drawn[:2] == drawn[2:]
    assert drawn[0] != drawn[1]


def test_training_leaves_the_global_random_state_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    fit(Phases(lambda t: [Phase("one", ("a",), t.both("one"), SGD)]))
    assert torch.equal(torch.rand(3), expected)


def test_a_loss_that_reaches_nothing_of_what_its_phase_trains_is_reported() -> None:
    def loss_of_b(batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        return {"term": trainer.b(batch["samples"]).mean()}

    trainer = Phases(lambda t: [Phase("one", ("a",), loss_of_b, SGD)])
    with pytest.raises(ConfigError, match="loss of phase 'one' reaches no parameter of a"):
        fit(trainer)


@pytest.mark.parametrize("name", ["ema", "a.b", "a/b", ""])
def test_a_network_needs_a_name_that_can_stand_in_a_checkpoint(name: str) -> None:
    trainer = Phases(lambda t: [Phase("one", (name,), t.both("one"), SGD)])
    trainer.networks = lambda: {name: trainer.a}
    with pytest.raises(ConfigError, match="cannot be named"):
        fit(trainer)


@pytest.mark.parametrize(
    ("phases", "reported"),
    [
        (lambda t: [Phase("one", ("c",), t.both("one"), SGD)], "updates 'c', which is not"),
        (lambda t: [Phase("one", ("a",), t.both("one"), SGD)] * 2, "Two phases are named 'one'"),
        (lambda t: [Phase("one", ("a",), t.both("one"), SGD, every=0)], "at least 1"),
        (lambda t: [Phase("one", (), t.both("one"), SGD)], "no parameter to train"),
        (lambda t: [], "at least one phase"),
    ],
)
def test_phases_that_cannot_run_are_reported_before_training(phases, reported: str) -> None:
    with pytest.raises(ConfigError, match=reported):
        fit(Phases(phases))

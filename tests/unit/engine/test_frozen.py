"""Frozen networks stay as they are; what no update may change, none does; 3-D beside 2-D."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from aigc_core import ConfigError, Generator, OptimizerConfig, Phase, Trainer
from aigc_core.config import EngineConfig
from aigc_core.engine import Engine, EngineObserver
from aigc_core.errors import TrainingError

SGD = OptimizerConfig(name="sgd", lr=0.1)


class Net(Generator):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
        self.register_buffer("used", torch.zeros(3, dtype=torch.int64))
        self.register_buffer("ready", torch.zeros((), dtype=torch.bool))
        self.register_buffer("secret", torch.zeros(2), persistent=False)
        self.register_buffer("swapped", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.used += 1
            self.ready.fill_(True)
            self.secret += 1
            self.swapped = self.swapped + 1
        return self.layers(x)

    def sample(self, count, *, rng, conditions, controls):
        return self(torch.randn(count, 3, generator=rng))


class Taught(Trainer):
    """A student and its teacher."""

    def __init__(self, frozen=None, factor=1.0) -> None:
        self.student, self.teacher = Net(), Net()
        self._frozen, self.factor = frozen, factor

    def networks(self) -> Mapping[str, nn.Module]:
        return {"student": self.student, "teacher": self.teacher}

    def generator(self) -> Generator:
        return self.student

    def frozen(self):
        return self._frozen

    def phases(self):
        def loss(batch, state):
            wanted = self.teacher(batch["samples"])
            return {
                "match": (self.student(batch["samples"]) - wanted).square().mean() * self.factor
            }

        return [Phase("match", ("student",), loss, SGD)]


def engine(trainer: Trainer, **settings) -> Engine:
    config = EngineConfig(**{"steps": 3, "batch_size": 4, "device": "cpu", **settings})
    return Engine(trainer, {"samples": torch.randn(16, 3)}, config)


def everything(network: nn.Module) -> dict[str, Tensor]:
    return {n: t.clone() for n, t in [*network.named_parameters(), *network.named_buffers()]}


@pytest.mark.parametrize("frozen", [None, ("teacher",)])
def test_a_network_that_no_phase_updates_stays_as_it_is(frozen) -> None:
    trainer = Taught(frozen)
    before = everything(trainer.teacher)
    running = engine(trainer)
    running.fit()
    running.sample(2, seed=0)
    assert not any(module.training for module in trainer.teacher.modules())
    assert all(module.training for module in trainer.student.modules())
    for name, tensor in everything(trainer.teacher).items():
        assert torch.equal(tensor, before[name]), name


def test_a_trainer_that_freezes_what_is_not_there_or_is_trained_is_reported() -> None:
    with pytest.raises(ConfigError, match=r"freezes 'techer', .* Did you mean 'teacher'"):
        engine(Taught(("techer",)))
    with pytest.raises(ConfigError, match="freezes 'student', and a phase"):
        engine(Taught(("student",)))


def test_a_skipped_update_leaves_no_trace_in_any_buffer() -> None:
    trainer = Taught(factor=float("nan"))
    before = everything(trainer.student)
    engine(trainer).fit()
    for name, tensor in everything(trainer.student).items():
        assert torch.equal(tensor, before[name]), name


def test_an_update_that_is_not_skipped_keeps_what_the_pass_did() -> None:
    trainer = Taught()
    engine(trainer).fit()
    assert trainer.student.used.tolist() == [3, 3, 3]
    assert trainer.student.swapped.item() == 3
    assert trainer.student.ready.item()


def test_the_averaged_copy_has_the_flags_and_counters_of_the_original() -> None:
    trainer = Taught()
    running = engine(trainer, ema=0.9)
    running.fit()
    copy = running.ema.generator
    for name, buffer in trainer.student.named_buffers():
        assert torch.equal(dict(copy.named_buffers())[name], buffer), name


def test_parameters_that_are_not_finite_end_the_training_before_they_are_saved() -> None:
    trainer = Taught()
    running = engine(trainer, steps=10, ema=0.9)
    saved = []

    class Watch(EngineObserver):
        def checkpoint_due(self, engine):
            saved.append(engine.step)

    running.add_observer(Watch())
    with torch.no_grad():
        trainer.student.layers[0].bias[1] = float("inf")
    with pytest.raises(TrainingError, match=r"student\.layers\.0\.bias' is not finite"):
        running.fit()
    assert saved == []


def test_a_mask_of_minus_infinity_is_no_divergence() -> None:
    trainer = Taught()
    trainer.student.register_buffer("mask", torch.full((2,), float("-inf")))
    assert engine(trainer).fit().step == 3


class Volumes(Generator):
    """2-D and 3-D convolutions in one network."""

    def __init__(self) -> None:
        super().__init__()
        self.volume = nn.Conv3d(1, 4, 3, padding=1)
        self.picture = nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.picture(self.volume(x).mean(dim=2))

    def sample(self, count, *, rng, conditions, controls):
        return self(torch.randn(count, 1, 2, 4, 4, generator=rng))


class VolumeTrainer(Trainer):
    def __init__(self) -> None:
        torch.manual_seed(0)
        self.net = Volumes()
        self.seen: list[Tensor] = []

    def networks(self):
        return {"net": self.net}

    def generator(self):
        return self.net

    def phases(self):
        def loss(batch, state):
            self.seen.append(batch["samples"])
            return {"size": self.net(batch["samples"]).square().mean()}

        return [Phase("fit", ("net",), loss, SGD)]


def test_volumes_and_pictures_lie_channels_last_side_by_side() -> None:
    results = []
    data = {"samples": torch.randn(4, 1, 2, 4, 4, generator=torch.Generator().manual_seed(1))}
    for channels_last in (True, False):
        trainer = VolumeTrainer()
        config = EngineConfig(steps=2, batch_size=2, device="cpu", channels_last=channels_last)
        Engine(trainer, data, config).fit()
        results.append(torch.cat([p.flatten() for p in trainer.net.parameters()]))
        if channels_last:
            layout = {"memory_format": torch.channels_last_3d}
            assert trainer.net.volume.weight.is_contiguous(**layout)
            assert trainer.seen[0].is_contiguous(**layout)
            last = {"memory_format": torch.channels_last}
            assert trainer.net.picture.weight.is_contiguous(**last)
    assert torch.allclose(*results, atol=1e-6)

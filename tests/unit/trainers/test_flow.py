"""Flow matching against formulas, and on data whose flow is known."""

import pytest
import torch
from torch import Tensor, nn

from aigc_core import (
    Condition,
    ConfigError,
    Engine,
    EngineConfig,
    FlowConfig,
    FlowControls,
    FlowGenerator,
    FlowTrainer,
    OptimizerConfig,
)
from aigc_core.interfaces import StepState
from aigc_core.trainers.flow import mixture

CENTRES = torch.tensor([[2.0, 0.0], [-2.0, 1.0], [0.0, -3.0]])


class Points(FlowGenerator):
    """Points in the plane, of a class or of none."""

    noise_shape = (2,)

    def __init__(self, classes: int = 0, width: int = 64) -> None:
        super().__init__()
        self.label_count = classes
        self.label = nn.Embedding(classes + 1, 8)
        self.layers = nn.Sequential(
            nn.Linear(2 + 3 + 8, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(),
            nn.Linear(width, 2),
        )  # fmt: skip

    def forward(self, mixed: Tensor, times: Tensor, conditions) -> Tensor:
        t = times[:, None]
        label = conditions.get("label", torch.zeros(len(mixed), dtype=torch.int64))
        clock = torch.cat([t, (3 * t).sin(), (3 * t).cos()], 1)
        return self.layers(torch.cat([mixed, clock, self.label(label)], 1))


def state(seed: int = 0) -> StepState:
    return StepState(0, 0, 1, torch.Generator().manual_seed(seed), {}, lambda name, value: None)


def trained(config: FlowConfig, classes: int) -> Engine:
    torch.manual_seed(0)
    labels = torch.arange(6000) % 3
    noise = torch.randn(6000, 2, generator=torch.Generator().manual_seed(1))
    data = {"samples": CENTRES[labels] + 0.2 * noise, "labels": labels}
    settings = EngineConfig(steps=600, batch_size=256, precision="fp32", device="cpu", ema=0.99)
    engine = Engine(FlowTrainer(Points(classes), config), data, settings)
    engine.fit()
    return engine


FAST = OptimizerConfig(lr=3e-3, schedule="cosine")


@pytest.fixture(scope="module")
def by_class() -> Engine:
    return trained(FlowConfig(optimizer=FAST), 3)


def near(samples: Tensor, centres: Tensor) -> float:
    """Share of points within four standard deviations of where they should be."""
    return float(((samples - centres).norm(dim=1) < 0.8).float().mean())


def test_each_class_is_drawn_where_it_is(by_class: Engine) -> None:
    samples = by_class.sample(300, seed=0)  # the classes in turn
    centres = CENTRES[torch.arange(300) % 3]
    assert near(samples, centres) > 0.95
    spread = (samples - centres).std(dim=0)
    torch.testing.assert_close(spread, torch.full((2,), 0.2), rtol=0, atol=0.1)


@pytest.mark.parametrize("solver", ["euler", "heun", "adams"])
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_every_solver_with_and_without_guidance(by_class: Engine, solver, guidance) -> None:
    controls = FlowControls(steps=20, solver=solver, guidance=guidance)
    given = {"label": torch.full((100,), 1)}
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        found = by_class.generator.sample(100, rng=rng, conditions=given, controls=controls)
    assert near(found, CENTRES[1]) > 0.9


def test_without_guidance_at_all_every_class_is_drawn_whatever_was_asked(by_class: Engine) -> None:
    rng = torch.Generator().manual_seed(0)
    given = {"label": torch.zeros(600, dtype=torch.int64)}
    with torch.no_grad():
        found = by_class.generator.sample(
            600, rng=rng, conditions=given, controls=FlowControls(guidance=0.0)
        )
    shares = torch.cdist(found, CENTRES).argmin(1).bincount(minlength=3) / 600
    assert shares.min() > 0.2


@pytest.mark.parametrize("path", ["linear", "cosine"])
@pytest.mark.parametrize("prediction", ["velocity", "data"])
def test_every_path_and_prediction_draws_the_data(path: str, prediction: str) -> None:
    config = FlowConfig(path=path, prediction=prediction, optimizer=FAST, time="uniform")
    samples = trained(config, 0).sample(300, seed=0)
    assert near(samples, CENTRES[torch.cdist(samples, CENTRES).argmin(1)]) > 0.7
    assert torch.cdist(samples, CENTRES).argmin(1).bincount(minlength=3).min() > 60


class Asked(Points):
    """Notes what it is asked, and answers zero."""

    def forward(self, mixed: Tensor, times: Tensor, conditions) -> Tensor:
        self.seen = (mixed, times, dict(conditions))
        return torch.zeros_like(mixed) + 0 * self.layers[0].weight.sum()


@pytest.mark.parametrize("prediction", ["velocity", "data"])
def test_the_loss_is_the_distance_of_what_is_predicted_from_the_target(prediction: str) -> None:
    network = Asked(3)
    trainer = FlowTrainer(network, FlowConfig(prediction=prediction, time="uniform"))
    data = torch.randn(64, 2)
    batch = {"samples": data, "labels": torch.arange(64) % 3}
    loss = trainer.phases()[0].loss(batch, state())["squared_error"]
    mixed, times, _ = network.seen
    noise = (mixed - times[:, None] * data) / (1 - times[:, None])
    target = data if prediction == "data" else data - noise
    torch.testing.assert_close(loss, target.square().mean(), rtol=1e-4, atol=1e-5)


def test_a_share_of_samples_is_shown_without_its_class() -> None:
    network = Asked(3)
    trainer = FlowTrainer(network, FlowConfig(condition_dropout=0.25))
    labels = torch.arange(4000) % 3
    trainer.phases()[0].loss({"samples": torch.randn(4000, 2), "labels": labels}, state())
    seen = network.seen[2]["label"]
    hidden = seen == 3
    assert float(hidden.float().mean()) == pytest.approx(0.25, abs=0.03)
    assert torch.equal(seen[~hidden], labels[~hidden])
    trainer.validation()({"samples": torch.randn(4000, 2), "labels": labels}, state())
    assert torch.equal(network.seen[2]["label"], labels)


def test_times_of_the_middle_are_learned_from_more_often_if_so_asked() -> None:
    found = {}
    for kind in ("uniform", "logit-normal"):
        network = Asked()
        trainer = FlowTrainer(network, FlowConfig(time=kind))
        trainer.phases()[0].loss({"samples": torch.randn(8000, 2)}, state())
        times = network.seen[1]
        assert 0 <= times.min() <= times.max() <= 1
        found[kind] = float(((times > 0.25) & (times < 0.75)).float().mean())
    assert found["uniform"] == pytest.approx(0.5, abs=0.03)
    assert found["logit-normal"] == pytest.approx(0.728, abs=0.03)  # P(|Z| < log 3)


def test_guidance_extrapolates_from_without_a_class_to_with_it() -> None:
    class Constant(Points):
        def forward(self, mixed, times, conditions):
            return conditions["label"][:, None].float().expand(-1, 2)

    network = Constant(3)  # 3 stands for no class
    controls = FlowControls(steps=1, solver="euler", guidance=2.0)
    given = {"label": torch.tensor([1])}
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 2, generator=torch.Generator().manual_seed(0))
    found = network.sample(1, rng=rng, conditions=given, controls=controls)
    torch.testing.assert_close(found - noise, torch.full((1, 2), 3.0 + 2 * (1.0 - 3.0)))


def test_guidance_needs_something_to_be_guided_by() -> None:
    rng = torch.Generator().manual_seed(0)
    with pytest.raises(ConfigError, match=r"guidance=3 needs a model with optional conditions"):
        Points().sample(1, rng=rng, controls=FlowControls(guidance=3.0))


def test_a_prediction_of_the_data_itself_ends_at_the_data_from_any_noise() -> None:
    class Knows(Points):
        def forward(self, mixed, times, conditions):
            return torch.full_like(mixed, 4.0)

    for path in ("linear", "cosine"):
        network = Knows()
        FlowTrainer(network, FlowConfig(path=path, prediction="data"))
        rng = torch.Generator().manual_seed(0)
        found = network.sample(5, rng=rng, controls=FlowControls(steps=50, solver="euler"))
        error = (found - 4).abs().max()
        assert error < (1e-5 if path == "linear" else 0.1)
        assert mixture(path, torch.tensor(1.0)).noise == pytest.approx(0, abs=1e-6)


class Recorder(Points):
    """Has two optional conditions, and remembers what it was given."""

    @property
    def conditions(self):
        return {**super().conditions, "hint": Condition("hint")}

    def nothing(self, name: str, count: int, device: torch.device) -> Tensor:
        if name == "hint":
            return torch.full((count,), -1.0)
        return super().nothing(name, count, device)

    def forward(self, mixed: Tensor, times: Tensor, conditions) -> Tensor:
        self.given = conditions
        return super().forward(mixed, times, conditions)


def test_each_condition_is_hidden_by_itself_as_often_as_the_trainer_says() -> None:
    class HidesHints(FlowTrainer):
        def dropout(self, condition: str) -> float:
            return 0.5 if condition == "hint" else super().dropout(condition)

    network = Recorder(classes=3)
    trainer = HidesHints(network, FlowConfig(condition_dropout=0.2))
    count = 20_000
    batch = {
        "samples": torch.zeros(count, 2),
        "labels": torch.zeros(count, dtype=torch.int64),
        "hint": torch.ones(count),
    }
    trainer.phases()[0].loss(batch, state())
    no_class, no_hint = network.given["label"] == 3, network.given["hint"] == -1
    assert no_class.double().mean() == pytest.approx(0.2, abs=0.01)
    assert no_hint.double().mean() == pytest.approx(0.5, abs=0.01)
    assert (no_class & no_hint).double().mean() == pytest.approx(0.1, abs=0.01)
    trainer.validation()(batch, state())  # nothing is hidden when it is measured
    assert (network.given["label"] == 0).all()
    assert (network.given["hint"] == 1).all()

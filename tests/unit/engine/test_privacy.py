"""Private training: what one sample can change is bounded, noisy and counted."""

import importlib
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from toys import toy_data, toy_trainer

from aigc_core import (
    AdversarialConfig,
    Batch,
    ConfigError,
    Engine,
    EngineConfig,
    EngineObserver,
    Generator,
    OptimizerConfig,
    Phase,
    PrivacyConfig,
    RunError,
    StepState,
    Trainer,
)
from aigc_core.engine.accountant import PrivacyAccount
from aigc_core.engine.privacy import ClippedGradients, PoissonOrder

CPU = torch.device("cpu")
counting = pytest.mark.skipif(
    importlib.util.find_spec("dp_accounting") is None, reason="dp-accounting is not installed"
)


class Linear(Generator):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def sample(self, count: int, *, rng: torch.Generator, conditions, controls) -> Tensor:
        return self.layer(torch.randn((count, 3), generator=rng))


class Denoising(Trainer):
    """Learns to undo noise in a private phase; a second phase records what it is given."""

    def __init__(self, privacy: PrivacyConfig | None, *, noisy: bool = False) -> None:
        torch.manual_seed(0)
        self.net, self.other = Linear(), Linear()
        self.privacy, self.noisy = privacy, noisy
        self.sizes: list[int] = []
        self.given: list[Batch] = []

    def networks(self) -> Mapping[str, nn.Module]:
        return {"net": self.net, "other": self.other}

    def generator(self) -> Generator:
        return self.net

    def phases(self) -> Sequence[Phase]:
        sgd = OptimizerConfig(name="sgd", lr=0.1)
        return [
            Phase("private", ("net",), self.loss, sgd, privacy=self.privacy),
            Phase("public", ("other",), self.watch, sgd),
        ]

    def loss(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        samples = batch["samples"]
        noise = 0.1 * state.randn(*samples.shape) if self.noisy else 0.0
        state.log("brightness", samples.mean())
        error = (self.net.layer(samples + noise) - samples).square().mean()
        return {"error": error, "size": 0.01 * self.net.layer.weight.square().sum()}

    def watch(self, batch: Batch, state: StepState) -> Tensor:
        self.given.append({name: value.clone() for name, value in batch.items()})
        return self.other.layer(batch["samples"]).square().mean()


def data(count: int = 60) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(1)
    return {
        "samples": torch.randn((count, 3), generator=rng) + 2,
        "labels": torch.arange(count) % 4,
    }


def engine_of(trainer: Trainer, arrays=None, **changes) -> Engine:
    settings = {"steps": 6, "batch_size": 12, "device": "cpu", "precision": "fp32"}
    settings |= {"log_every": 2, "ema": 0.9}
    return Engine(trainer, arrays or data(), EngineConfig(**settings | changes))


class Logged(EngineObserver):
    def __init__(self) -> None:
        self.metrics: list[Mapping[str, float]] = []

    def metrics_logged(self, engine: Engine, metrics: Mapping[str, float]) -> None:
        self.metrics.append(dict(metrics))


def test_without_noise_and_clipping_it_is_the_ordinary_step_on_the_samples_drawn() -> None:
    private = Denoising(PrivacyConfig(clip_norm=1e9, noise_multiplier=0))
    engine = engine_of(private, ema=None)
    rows = engine._private._order.indices(0)
    assert 0 < len(rows) < 60
    engine.fit(until_step=1)

    ordinary = Denoising(None)
    samples = data()["samples"][rows]
    state = StepState(0, 0, 1, torch.Generator(), {}, lambda name, value: None)
    loss = sum(ordinary.loss({"samples": samples}, state).values())
    (loss * len(rows) / 12).backward()
    with torch.no_grad():
        for parameter in ordinary.net.parameters():
            parameter -= 0.1 * parameter.grad
    for name, value in ordinary.net.state_dict().items():
        assert torch.allclose(private.net.state_dict()[name], value, atol=1e-6), name


def test_no_sample_moves_the_sum_by_more_than_the_norm() -> None:
    trainer = Denoising(None)
    parameters = list(trainer.net.parameters())
    clipped = ClippedGradients({"net": trainer.net}, parameters, clip_norm=0.5)

    def terms(batch, log):
        return (trainer.net.layer(batch["samples"]) ** 2).sum(), {}

    def summed(samples: Tensor) -> Tensor:
        found, _ = clipped.sum(terms, {"samples": samples})
        return torch.cat([found[parameter].flatten() for parameter in parameters])

    samples = data(8)["samples"] * 100
    for row in samples:
        assert summed(row[None]).norm() == pytest.approx(0.5, rel=1e-4)
    whole = summed(samples)
    assert torch.allclose(whole, sum(summed(row[None]) for row in samples), atol=1e-5)
    lost = torch.cat([samples, torch.full((1, 3), float("nan"))])
    assert torch.allclose(summed(lost), whole, atol=1e-5)  # a sample that is broken counts nothing


def test_the_noise_has_the_size_that_is_said() -> None:
    trainer = Denoising(PrivacyConfig(clip_norm=2.0, noise_multiplier=3.0))
    trainer.loss = lambda batch, state: trainer.net.layer(batch["samples"]).sum() * 0
    engine = engine_of(trainer, steps=400, ema=None)
    account = PrivacyAccount.__new__(PrivacyAccount)  # not counted here
    account.noise, account.config, account.total_updates = 3.0, trainer.privacy, 400
    account.affordable, account._spent = 400, dict.fromkeys(range(401), 1.0)
    engine._private._account = account
    before = trainer.net.layer.weight.detach().clone()
    engine.fit()
    moved = (trainer.net.layer.weight - before).detach().flatten()
    # 400 steps of 0.1 times noise of standard deviation 3 * 2 / 12
    expected = 0.1 * (400**0.5) * 0.5
    assert 0.5 * expected < moved.std() < 1.6 * expected


def test_every_sample_is_drawn_alike_and_on_its_own() -> None:
    order = PoissonOrder(1000, 0.05, seed=3, device=CPU)
    drawn = torch.zeros(1000)
    sizes = []
    for update in range(400):
        rows = order.indices(update)
        assert torch.equal(rows, PoissonOrder(1000, 0.05, seed=3, device=CPU).indices(update))
        assert len(rows.unique()) == len(rows)
        drawn[rows] += 1
        sizes.append(len(rows))
    # binomial: a mean of 50 a batch, 20 a sample
    assert np.mean(sizes) == pytest.approx(50, abs=1.5)
    assert np.var(sizes) == pytest.approx(1000 * 0.05 * 0.95, rel=0.3)
    assert drawn.var() == pytest.approx(400 * 0.05 * 0.95, rel=0.3)


def delta_of(loss: np.ndarray, mass: np.ndarray, epsilon: float) -> float:
    above = loss > epsilon
    return float((mass[above] * -np.expm1(epsilon - loss[above])).sum())


def epsilon_by_convolution(noise: float, rate: float, updates: int, delta: float) -> float:
    """Epsilon of the composed mechanism: the privacy loss's distribution, convolved by FFT.

    With P = (1 - q) N(0, s²) + q N(1, s²) and Q = N(0, s²), once for removing a sample (P against
    Q) and once for adding one (Q against P).
    """
    step, size = 2e-4, 1 << 18
    x = np.linspace(-12 * noise, 1 + 12 * noise, 2_000_001)
    base = np.exp(-((x / noise) ** 2) / 2)
    moved = np.exp(-(((x - 1) / noise) ** 2) / 2)
    ratio = np.log1p(rate * (np.exp((2 * x - 1) / (2 * noise**2)) - 1))  # log P/Q
    worst = 0.0
    for density, loss in (((1 - rate) * base + rate * moved, ratio), (base, -ratio)):
        mass = density / density.sum()
        bins = np.round(loss / step).astype(int)
        grid = np.zeros(size)
        np.add.at(grid, bins % size, mass)
        composed = np.fft.irfft(np.fft.rfft(grid) ** updates, size).clip(0)
        losses = (np.arange(size) - size // 2) * step
        composed = np.roll(composed, size // 2)
        low, high = 0.0, 20.0
        while high - low > 1e-4:
            middle = (low + high) / 2
            if delta_of(losses, composed, middle) > delta:
                low = middle
            else:
                high = middle
        worst = max(worst, high)
    return worst


@counting
@pytest.mark.parametrize(
    ("noise", "rate", "updates"), [(1.0, 128 / 60_000, 2000), (0.8, 64 / 1797, 200), (2.0, 0.1, 50)]
)
def test_epsilon_is_that_of_an_independent_computation(noise, rate, updates) -> None:
    settings = PrivacyConfig(noise_multiplier=noise)
    account = PrivacyAccount(settings, rate=rate, total_updates=updates)
    expected = epsilon_by_convolution(noise, rate, updates, 1e-5)
    assert account.spent(updates) == pytest.approx(expected, rel=0.01)
    assert account.metrics(1)["privacy/epsilon"] <= account.spent(updates)


@counting
def test_the_noise_is_chosen_for_the_budget_and_all_steps_are_done() -> None:
    logged = Logged()
    engine = engine_of(Denoising(PrivacyConfig(epsilon=4.0, delta=1e-3), noisy=True))
    engine.add_observer(logged)
    result = engine.fit()
    assert result.ending.reason == "steps"
    spent = [metrics["privacy/epsilon"] for metrics in logged.metrics]
    assert spent == sorted(spent)
    assert 3.9 < spent[-1] <= 4.0
    assert {"loss/private", "loss/private/error", "brightness"} <= set(logged.metrics[0])


@counting
def test_a_training_ends_before_its_budget_is_exceeded_and_cannot_be_resumed() -> None:
    settings = PrivacyConfig(epsilon=2.0, noise_multiplier=1.5, delta=1e-3)
    engine = engine_of(Denoising(settings), steps=500)
    result = engine.fit()
    assert 1 <= result.step < 500
    assert result.ending.reason == "stopped"
    assert "its epsilon of 2 is spent" in result.ending.message
    assert 1.9 < engine._private._account.spent(result.step) <= 2.0
    again = engine_of(Denoising(settings), steps=600)
    again.load_state(engine.state())
    with pytest.raises(RunError, match="budget is spent: epsilon"):
        again.fit()


@counting
def test_a_private_training_resumes_to_the_same_bits() -> None:
    settings = PrivacyConfig(epsilon=4.0, delta=1e-3)
    whole = engine_of(Denoising(settings, noisy=True))
    whole.fit()
    first = engine_of(Denoising(settings, noisy=True))
    first.fit(until_step=3)
    second = engine_of(Denoising(settings, noisy=True))
    second.load_state(first.state())
    second.fit()
    assert second._private._account.noise == whole._private._account.noise
    for name, value in whole.state().weights.items():
        assert torch.equal(value, second.state().weights[name]), name


def test_a_training_cannot_become_private_later() -> None:
    first = engine_of(Denoising(None))
    first.fit(until_step=2)
    second = engine_of(Denoising(PrivacyConfig(noise_multiplier=1.0)))
    second.load_state(first.state())
    with pytest.raises(RunError, match="first 2 steps were not private"):
        second.fit()


def test_a_private_training_cannot_go_on_without_privacy() -> None:
    first = engine_of(Denoising(PrivacyConfig(noise_multiplier=0)))
    first.fit(until_step=2)
    second = engine_of(Denoising(None))
    second.load_state(first.state())
    with pytest.raises(RunError, match="was private up to here, and "):
        second.fit()


def test_the_noise_cannot_be_changed_later() -> None:
    first = engine_of(Denoising(PrivacyConfig(noise_multiplier=0)))
    first.fit(until_step=2)
    second = engine_of(Denoising(PrivacyConfig(noise_multiplier=1.0)))
    second.load_state(first.state())
    with pytest.raises(RunError, match="had a noise multiplier of 0, which a run keeps"):
        second.fit()


@counting
def test_the_noise_stays_the_same_when_a_training_gets_more_steps() -> None:
    first = engine_of(Denoising(PrivacyConfig(epsilon=4.0, delta=1e-3)), steps=4)
    first.fit()
    longer = engine_of(Denoising(PrivacyConfig(epsilon=9.0, delta=1e-3)), steps=6)
    longer.load_state(first.state())
    longer.fit()
    assert longer._private._account.noise == first._private._account.noise
    assert longer._private._account.spent(6) > first._private._account.spent(4)


def test_other_phases_get_nothing_of_the_data() -> None:
    trainer = Denoising(PrivacyConfig(noise_multiplier=0))
    engine_of(trainer, steps=20).fit()
    assert all(not batch["samples"].any() for batch in trainer.given)
    assert {len(batch["samples"]) for batch in trainer.given} == {12}
    labels = torch.cat([batch["labels"] for batch in trainer.given])
    assert set(labels.tolist()) == {0, 1, 2, 3}


def test_parts_of_a_split_batch_add_up_to_the_same() -> None:
    outcome = []
    for accumulate in (1, 4):
        trainer = Denoising(PrivacyConfig(noise_multiplier=0))
        engine_of(trainer, accumulate=accumulate).fit()
        outcome.append(trainer.net.layer.weight.detach().clone())
    assert torch.allclose(*outcome, atol=1e-6)


def test_a_batch_in_which_no_sample_was_drawn_is_only_noise() -> None:
    trainer = Denoising(PrivacyConfig(noise_multiplier=0))
    engine = engine_of(trainer, batch_size=1, steps=20)
    sizes = [len(engine._private._order.indices(update)) for update in range(20)]
    assert 0 in sizes
    engine.fit()
    assert all(torch.isfinite(p).all() for p in trainer.net.parameters())


@counting
def test_an_adversarial_discriminator_learns_in_private() -> None:
    config = AdversarialConfig(privacy=PrivacyConfig(noise_multiplier=1.0), critic_steps=2)
    trainer = toy_trainer(config, normalize=False)
    before = [p.detach().clone() for p in trainer._discriminator.parameters()]
    engine = engine_of(trainer, {"samples": toy_data()}, steps=3)
    engine.fit()
    assert engine._private._updates(3) == 6
    after = list(trainer._discriminator.parameters())
    assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: engine_of(
                toy_trainer(AdversarialConfig(privacy=PrivacyConfig(noise_multiplier=1.0))),
                {"samples": toy_data()},
            ),
            "needs networks without batch normalisation.*'generator.layers.1'",
        ),
        (
            lambda: engine_of(Denoising(PrivacyConfig(noise_multiplier=1)), batch_size=100),
            "draws about 100 samples a step, and there are 60",
        ),
        (
            lambda: engine_of(Denoising(PrivacyConfig(noise_multiplier=0.5, epsilon=0.1))).fit(),
            "epsilon=0.1 is less than the .* of a single step with noise_multiplier=0.5",
        ),
        (lambda: PrivacyConfig(), "give epsilon, or noise_multiplier"),
        (lambda: PrivacyConfig(noise_multiplier=0, epsilon=1), "not private at any epsilon"),
        (lambda: PrivacyConfig(epsilon=1, delta=1), "delta"),
        (
            lambda: AdversarialConfig(gradient_penalty=10, privacy=PrivacyConfig(epsilon=1)),
            "does not go with gradient_penalty",
        ),
    ],
)
def test_what_cannot_be_private_is_a_sentence(make, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        make()


@counting
def test_an_epsilon_that_no_noise_reaches_is_a_sentence() -> None:
    engine = engine_of(Denoising(PrivacyConfig(epsilon=1e-6, delta=1e-9)), steps=10)
    with pytest.raises(ConfigError, match="too small for 10 updates that each see 20"):
        engine.fit()


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str):
        raise ImportError(name)

    monkeypatch.setattr("aigc_core.engine.accountant.importlib.import_module", missing)
    with pytest.raises(ConfigError, match="pip install dp-accounting"):
        engine_of(Denoising(PrivacyConfig(epsilon=1.0))).fit()

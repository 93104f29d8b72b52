"""The variational trainer against formulas, a plain loop, and what it should learn."""

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import binary_cross_entropy_with_logits
from toys import toy_data

from aigc_core import (
    Decoder,
    Encoder,
    Engine,
    EngineConfig,
    EngineObserver,
    VariationalConfig,
    VariationalTrainer,
)
from aigc_core.engine import derive_seed
from aigc_core.interfaces import Reconstructs, StepState


class ToyEncoder(Encoder):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(64 + classes, 8)
        self.classes = classes

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        flat = samples.flatten(1)
        if condition is not None:
            flat = torch.cat([flat, nn.functional.one_hot(condition, self.classes).float()], 1)
        mean, log_variance = self.layer(flat).chunk(2, dim=1)
        return mean, log_variance


class ToyDecoder(Decoder):
    latent_shape = (4,)

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.label_count = classes
        self.layers = nn.Sequential(nn.Linear(4 + classes, 32), nn.ReLU(), nn.Linear(32, 64))

    def raw(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        if condition is not None:
            label = nn.functional.one_hot(condition, self.label_count).float()
            latents = torch.cat([latents, label], 1)
        return self.layers(latents).unflatten(1, (1, 8, 8))


def trainer(config: VariationalConfig | None = None, classes: int = 0) -> VariationalTrainer:
    torch.manual_seed(0)
    encoder, decoder = ToyEncoder(classes), ToyDecoder(classes)
    return VariationalTrainer(encoder, decoder, config or VariationalConfig())


def state(seed: int = 0, logged: dict | None = None) -> StepState:
    rng = torch.Generator().manual_seed(seed)
    notes = {} if logged is None else logged
    return StepState(0, 0, 1, rng, {}, lambda name, value: notes.update({name: value}))


def loss_of(made: VariationalTrainer, batch: dict, **options) -> dict:
    (phase,) = made.phases()
    assert phase.updates == ("encoder", "decoder")
    return dict(phase.loss(batch, state(**options)))


def test_the_loss_is_the_negative_evidence_lower_bound() -> None:
    made, data = trainer(), toy_data(10)
    networks = made.networks()
    mean, log_variance = networks["encoder"](data)
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(0))
    posterior = Normal(mean, (0.5 * log_variance).exp())
    raw = networks["decoder"].raw(mean + posterior.scale * noise)
    bits = (data + 1) / 2
    expected = binary_cross_entropy_with_logits(raw, bits, reduction="sum") / len(data)
    found = loss_of(made, {"samples": data})
    assert found["reconstruction"].item() == pytest.approx(expected.item(), rel=1e-5)
    divergence = kl_divergence(posterior, Normal(0.0, 1.0)).sum(1).mean()
    assert found["kl"].item() == pytest.approx(divergence.item(), rel=1e-5)


def test_beta_weighs_the_divergence_and_free_bits_give_it_a_floor() -> None:
    plain = loss_of(trainer(), {"samples": toy_data(10)})["kl"]
    weighed = loss_of(trainer(VariationalConfig(beta=4)), {"samples": toy_data(10)})["kl"]
    assert weighed.item() == pytest.approx(4 * plain.item())
    logged: dict = {}
    free = VariationalConfig(free_bits=1000)
    floor = loss_of(trainer(free), {"samples": toy_data(10)}, logged=logged)["kl"]
    assert floor.item() == 4000  # of 4 dimensions
    assert not floor.requires_grad or torch.autograd.grad(
        floor, list(trainer(free).networks()["encoder"].parameters()), allow_unused=True
    ) == (None, None)
    assert logged["kl"].item() == pytest.approx(plain.item())  # what is logged is the true one


def test_binarized_samples_are_drawn_with_their_brightness() -> None:
    made = trainer(VariationalConfig(binarize=True))
    seen: list[Tensor] = []
    made.networks()["encoder"].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    grey = torch.full((500, 1, 8, 8), 0.5)
    loss_of(made, {"samples": grey})
    loss_of(made, {"samples": grey}, seed=1)
    assert set(seen[0].unique().tolist()) == {-1.0, 1.0}
    assert seen[0].mean().item() == pytest.approx(0.5, abs=0.02)
    assert not torch.equal(seen[0], seen[1])


class Watch(EngineObserver):
    def __init__(self) -> None:
        self.metrics: list[dict] = []

    def metrics_logged(self, engine, metrics) -> None:
        self.metrics.append(dict(metrics))


def config(**changes) -> EngineConfig:
    base = {"steps": 60, "batch_size": 20, "device": "cpu", "precision": "fp32", "log_every": 20}
    return EngineConfig(**base | {"validate_every": 20} | changes)


def test_validation_falls_is_repeatable_and_changes_nothing() -> None:
    fast = VariationalConfig(optimizer={"lr": 1e-2})
    data = toy_data(300)
    results = []
    for held_out in (data[200:], None):
        watch = Watch()
        samples = {"samples": data[:200]}
        validation = None if held_out is None else {"samples": held_out}
        engine = Engine(trainer(fast), samples, config(), validation=validation, observers=[watch])
        engine.fit()
        results.append((engine.state().weights, watch.metrics))
    (with_weights, with_metrics), (without_weights, without_metrics) = results
    losses = [metrics["validation/loss"] for metrics in with_metrics]
    assert len(losses) == 3
    assert losses[2] < 0.8 * losses[0]
    assert not any("validation/loss" in metrics for metrics in without_metrics)
    for name, value in without_weights.items():
        assert torch.equal(value, with_weights[name]), name


def test_validation_logs_where_no_log_is_due() -> None:
    watch = Watch()
    data = {"samples": toy_data(50)}
    Engine(
        trainer(),
        data,
        config(steps=6, log_every=100, validate_every=3),
        validation=data,
        observers=[watch],
    ).fit()
    assert ["validation/loss" in metrics for metrics in watch.metrics] == [True, True]


def test_validation_weighs_a_last_smaller_batch_by_its_size() -> None:
    data = {"samples": toy_data(50)}
    found = []
    for batch_size in (50, 16):
        watch = Watch()
        made = trainer(VariationalConfig(optimizer={"lr": 1e-9}))
        Engine(
            made, data, config(steps=1, batch_size=batch_size), validation=data, observers=[watch]
        ).fit()
        found.append(watch.metrics[-1]["validation/kl"])  # needs no noise
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_the_engine_and_a_plain_loop_end_with_the_same_bits() -> None:
    data = toy_data(40)
    engine = Engine(trainer(), {"samples": data}, config(steps=10))
    engine.fit()
    made = trainer()
    encoder, decoder = made.networks().values()
    parameters = [*encoder.parameters(), *decoder.parameters()]
    adam = torch.optim.Adam(parameters, lr=1e-3, fused=True)
    order: list[int] = []
    for epoch in range(5):
        shuffle = torch.Generator().manual_seed(derive_seed(0, "order", epoch))
        order += torch.randperm(len(data), generator=shuffle).tolist()
    for step in range(10):
        rng = torch.Generator().manual_seed(derive_seed(0, "step", step))
        x = data[order[step * 20 : step * 20 + 20]]
        mean, log_variance = encoder(x)
        raw = decoder.raw(
            mean + (0.5 * log_variance).exp() * torch.randn(mean.shape, generator=rng)
        )
        bits = (x + 1) / 2
        bce = binary_cross_entropy_with_logits(raw, bits, reduction="none").flatten(1).sum(1).mean()
        kl = (0.5 * (mean**2 + log_variance.exp() - 1 - log_variance)).mean(0).sum()
        adam.zero_grad()
        (bce + kl).backward()
        adam.step()
    weights = engine.state().weights
    for name, network in made.networks().items():
        for key, value in network.state_dict().items():
            assert torch.equal(weights[f"{name}.{key}"], value), f"{name}.{key}"


def test_a_conditional_one_learns_what_its_labels_mean() -> None:
    shades = torch.tensor([-0.8, 0.8])
    labels = torch.arange(200) % 2
    data = {"samples": shades[labels][:, None, None, None].expand(200, 1, 8, 8), "labels": labels}
    settings = VariationalConfig(reconstruction="gaussian", optimizer={"lr": 1e-2})
    engine = Engine(trainer(settings, classes=2), data, config(steps=800))
    engine.fit()
    means = engine.sample(10, seed=0).flatten(1).mean(1)  # the classes in turn
    assert (means[0::2] < -0.1).all()
    assert (means[1::2] > 0.1).all()


def test_a_trained_one_reconstructs() -> None:
    data = toy_data(200)
    made = trainer(VariationalConfig(optimizer={"lr": 1e-2}))
    assert isinstance(made, Reconstructs)
    before = (made.reconstruct(data) - data).abs().mean()
    Engine(made, {"samples": data}, config(steps=200)).fit()
    after = made.reconstruct(data)
    assert after.shape == data.shape
    assert (after - data).abs().mean() < 0.4 * before

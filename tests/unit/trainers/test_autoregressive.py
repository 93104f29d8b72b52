"""The autoregressive trainer against formulas, a plain loop, and what it should learn."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy
from toys import ToySequence

from aigc_core import AutoregressiveConfig, AutoregressiveTrainer, Engine, EngineConfig
from aigc_core.engine import derive_seed
from aigc_core.engine.optimizers import learning_rate
from aigc_core.interfaces import StepState


def trainer(config: AutoregressiveConfig | None = None, classes: int = 0) -> AutoregressiveTrainer:
    torch.manual_seed(0)
    return AutoregressiveTrainer(ToySequence(classes=classes), config or AutoregressiveConfig())


def state() -> StepState:
    return StepState(0, 0, 1, torch.Generator(), {}, lambda name, value: None)


def windows() -> torch.Tensor:
    """Overlapping windows of 9 tokens: 0 1 2 3 4 5 6 0 1 …"""
    return (torch.arange(60) % 7).unfold(0, 9, 1)


def test_the_loss_is_nats_per_token_of_what_follows_each() -> None:
    made, data = trainer(), windows()[:5]
    (phase,) = made.phases()
    found = phase.loss({"samples": data}, state())
    logits = made.generator()(data[:, :-1])
    chosen = logits.log_softmax(2).gather(2, data[:, 1:, None])
    assert list(found) == ["cross_entropy"]
    assert found["cross_entropy"].item() == pytest.approx(-chosen.mean().item(), rel=1e-5)


def test_label_smoothing_is_for_training_and_not_for_validation() -> None:
    made, data = trainer(AutoregressiveConfig(label_smoothing=0.2)), windows()[:5]
    (phase,) = made.phases()
    log_p = made.generator()(data[:, :-1]).log_softmax(2)
    right = -log_p.gather(2, data[:, 1:, None]).mean()
    smoothed = 0.8 * right - 0.2 * log_p.mean()
    found = phase.loss({"samples": data}, state())["cross_entropy"]
    assert found.item() == pytest.approx(smoothed.item(), rel=1e-5)
    measured = made.validation()({"samples": data}, state())
    assert measured["loss"].item() == pytest.approx(right.item(), rel=1e-5)
    assert measured["bits_per_token"].item() == pytest.approx(right.item() / math.log(2), rel=1e-5)


def test_a_conditional_network_gets_the_labels() -> None:
    made = trainer(classes=3)
    (phase,) = made.phases()
    data = windows()[:2]
    losses = [
        phase.loss({"samples": data, "labels": torch.tensor([label, label])}, state())
        for label in (0, 2)
    ]
    assert losses[0]["cross_entropy"].item() != losses[1]["cross_entropy"].item()


def config(**changes: object) -> EngineConfig:
    base = {"steps": 30, "batch_size": 8, "device": "cpu", "precision": "fp32", "seed": 3}
    return EngineConfig(**base | changes)


def test_the_engine_and_a_plain_loop_end_with_the_same_bits() -> None:
    """With warm-up, cosine decay, clipping, and weight decay on matrices alone."""
    data = windows()
    engine = Engine(trainer(), {"samples": data}, config())
    engine.fit()
    settings = AutoregressiveConfig().optimizer
    network = trainer().generator()
    matrices = [p for p in network.parameters() if p.dim() >= 2]
    others = [p for p in network.parameters() if p.dim() < 2]
    groups = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
    adam = torch.optim.AdamW(groups, betas=(0.9, 0.99), weight_decay=0.1, fused=True)
    order: list[int] = []
    for epoch in range(30 * 8 // len(data) + 1):
        shuffle = torch.Generator().manual_seed(derive_seed(3, "order", epoch))
        order += torch.randperm(len(data), generator=shuffle).tolist()
    for step in range(30):
        for group in adam.param_groups:
            group["lr"] = learning_rate(settings, step, 30)
        batch = data[order[step * 8 : step * 8 + 8]]
        logits = network(batch[:, :-1])
        adam.zero_grad()
        cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten()).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        adam.step()
    for name, value in network.state_dict().items():
        assert torch.equal(engine.state().weights[f"generator.{name}"], value), name


def test_what_follows_what_is_learned() -> None:
    fast = AutoregressiveConfig(optimizer={"name": "adamw", "lr": 3e-2})
    engine = Engine(trainer(fast), {"samples": windows()}, config(steps=300))
    engine.fit()
    tokens = engine.sample(20, seed=0)
    follows = (tokens[:, 1:] == (tokens[:, :-1] + 1) % 7).float().mean()
    assert follows > 0.9


def test_a_beginning_is_learned_where_samples_have_one() -> None:
    made, data = trainer(), torch.tensor([[2, 3, 4], [6, 0, 1]])
    generator = made.generator()
    generator.learns_start, generator.start_token = True, 5
    log_p = generator(torch.tensor([[5, 2, 3], [5, 6, 0]])).log_softmax(2)
    expected = -log_p.gather(2, data[:, :, None]).mean()
    measured = made.validation()({"samples": data}, state())
    assert measured["loss"].item() == pytest.approx(expected.item(), rel=1e-5)

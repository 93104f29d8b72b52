"""The engine against a plain PyTorch loop that a reader can check at a glance."""

import torch
from torch import nn
from torch.nn.functional import softplus
from toys import toy_data, toy_trainer

from aigc_core import AdversarialConfig, Engine, EngineConfig, OptimizerConfig
from aigc_core.engine import derive_seed

STEPS, BATCH, SEED = 20, 32, 3
CONFIG = AdversarialConfig()


def plain_loop(data: torch.Tensor, normalize: bool = True) -> dict[str, torch.Tensor]:
    """A hand-written DCGAN loop; the engine's seeds and order of the data are its only guests."""
    trainer = toy_trainer(normalize=normalize)
    g, d = trainer.networks()["generator"], trainer.networks()["discriminator"]
    g_adam = torch.optim.Adam(g.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True)
    d_adam = torch.optim.Adam(d.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True)
    order: list[int] = []
    for epoch in range(STEPS * BATCH // len(data) + 1):
        shuffle = torch.Generator().manual_seed(derive_seed(SEED, "order", epoch))
        order += torch.randperm(len(data), generator=shuffle).tolist()
    for step in range(STEPS):
        rng = torch.Generator().manual_seed(derive_seed(SEED, "step", step))
        real = data[order[step * BATCH : (step + 1) * BATCH]]
        fake = g(torch.randn(BATCH, 8, generator=rng))
        d_loss = softplus(-d(real)).mean() + softplus(d(fake.detach())).mean()
        d_adam.zero_grad()
        d_loss.backward()
        d_adam.step()
        g_loss = softplus(-d(fake)).mean()
        g_adam.zero_grad()
        g_loss.backward()
        g_adam.step()
    return weights(g, d)


def weights(g: nn.Module, d: nn.Module) -> dict[str, torch.Tensor]:
    named = {"generator": g, "discriminator": d}
    return {f"{n}.{k}": v for n, net in named.items() for k, v in net.state_dict().items()}


def engine_config(**changes: object) -> EngineConfig:
    return EngineConfig(
        **{"steps": STEPS, "batch_size": BATCH, "seed": SEED, "device": "cpu", "precision": "fp32"}
        | changes
    )


def test_the_engine_and_a_plain_loop_end_with_the_same_bits() -> None:
    engine = Engine(toy_trainer(), {"samples": toy_data()}, engine_config())
    engine.fit()
    ours, plain = engine.state().weights, plain_loop(toy_data())
    assert ours.keys() == plain.keys()
    for name, value in plain.items():
        assert torch.equal(ours[name], value), name


def test_two_halves_of_a_batch_train_as_the_whole() -> None:
    """Adding gradients in another order changes the last bits: hence a tolerance, and few steps.

    Plain gradient descent, because Adam turns a gradient's last bit into a whole step where the
    gradient is nearly zero.
    """
    sgd = OptimizerConfig(name="sgd", lr=0.05)
    results = []
    for accumulate in (1, 2):
        trainer = toy_trainer(AdversarialConfig(generator=sgd, discriminator=sgd), normalize=False)
        config = engine_config(batch_size=64, accumulate=accumulate)
        engine = Engine(trainer, {"samples": toy_data()}, config)
        before = {name: value.clone() for name, value in engine.state().weights.items()}
        engine.fit()
        results.append(engine.state().weights)
    for name, whole in results[0].items():
        torch.testing.assert_close(results[1][name], whole, rtol=1e-5, atol=1e-6)
        assert not torch.equal(before[name], whole), f"{name} was not trained"

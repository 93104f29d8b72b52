"""The engine against plain PyTorch loops, for each kind of model beside the DCGAN.

Every loop has its losses, schedule and optimiser written out with torch alone; of the framework it
uses the networks, and the seeds that give the order of the data and the randomness of a step. fp32,
on the CPU. ``test_parity.py`` has the DCGAN, to the bit; here formulas are written in another form
than the framework's, so that sums are rounded differently, and weights are compared with TOLERANCE.
"""

import copy
import math
from collections.abc import Iterator, Mapping

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from aigc_core import (
    AdversarialConfig,
    AdversarialTrainer,
    AutoregressiveConfig,
    AutoregressiveTrainer,
    Engine,
    EngineConfig,
    OptimizerConfig,
    Trainer,
    VariationalConfig,
    VariationalTrainer,
)
from aigc_core.engine import derive_seed

STEPS, BATCH, SEED, COUNT = 5, 8, 3, 30
"""Of 30 samples, batches of 8 reach over the end of an epoch."""
TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}
"""A learning rate's hundredth is 1e-6 to 3e-5: an update that differs is seen."""

Networks = dict[str, nn.Module]


def drawn(*shape: int) -> Tensor:
    """Numbers in [-1, 1), the same each time."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def fit(trainer: Trainer, data: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Networks]:
    """Train by the engine; return its weights, and the networks as they were before."""
    before = copy.deepcopy(dict(trainer.networks()))
    config = EngineConfig(steps=STEPS, batch_size=BATCH, seed=SEED, device="cpu", precision="fp32")
    engine = Engine(trainer, data, config)
    engine.fit()
    return engine.state().weights, before


def steps(repeats: int = 1) -> Iterator[tuple[int, list[list[int]], torch.Generator]]:
    """Yield by step its number, the indices of its batches and its generator."""
    order: list[int] = []
    for epoch in range(STEPS * repeats * BATCH // COUNT + 1):
        shuffle = torch.Generator().manual_seed(derive_seed(SEED, "order", epoch))
        order += torch.randperm(COUNT, generator=shuffle).tolist()
    for step in range(STEPS):
        seed = derive_seed(SEED, "step", step)
        torch.manual_seed(seed)  # dropout and phase shuffle draw from there
        starts = [(step * repeats + repeat) * BATCH for repeat in range(repeats)]
        batches = [order[start : start + BATCH] for start in starts]
        yield step, batches, torch.Generator().manual_seed(seed)


@pytest.fixture(autouse=True)
def _keep_the_global_generator() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def check(engine: dict[str, Tensor], plain: Networks, before: Networks, still: str = "") -> None:
    """Compare all weights, and see that each parameter but ``still`` was trained."""
    weights = {f"{n}.{k}": v for n, net in plain.items() for k, v in net.state_dict().items()}
    assert engine.keys() == weights.keys()
    for name, value in weights.items():
        torch.testing.assert_close(engine[name], value, **TOLERANCE, msg=lambda m, n=name: n + m)
    for network in plain:
        trained = dict(plain[network].named_parameters())
        for name, parameter in before[network].named_parameters():
            moved = not torch.equal(parameter, trained[name])
            assert moved == (f"{network}.{name}" != still), f"{network}.{name}: trained is {moved}"


def warmup_then_cosine(step: int, lr: float, warmup: int, final: float) -> float:
    if step < warmup:
        return lr * (step + 1) / (warmup + 1)
    turn = math.pi * (step - warmup) / (STEPS - warmup)
    return final + 0.5 * (lr - final) * (1 + math.cos(turn))


@pytest.mark.parametrize("classes", [0, 3], ids=["plain", "conditional"])
def test_a_vae(classes: int) -> None:
    vae = pytest.importorskip("aigc_image.vae")
    config = pytest.importorskip("aigc_image.vae_config").VAEConfig(
        latent_size=4, width=4, hidden_size=16
    )
    images, labels = drawn(COUNT, 1, 32, 32), torch.arange(COUNT) % 3
    trainer = VariationalTrainer(
        vae.VAEEncoder(config, 1, 32, classes),
        vae.VAEDecoder(config, 1, 32, classes),
        VariationalConfig(beta=2.0, optimizer=OptimizerConfig(lr=1e-3, betas=(0.9, 0.99))),
    )
    ours, before = fit(trainer, {"samples": images, "labels": labels})
    plain = copy.deepcopy(before)
    parameters = [p for network in plain.values() for p in network.parameters()]
    adam = torch.optim.Adam(parameters, lr=1e-3, betas=(0.9, 0.99))
    for _, (batch,), rng in steps():
        x, y = images[batch], labels[batch] if classes else None
        mean, log_variance = plain["encoder"](x, y)
        z = mean + (log_variance / 2).exp() * torch.randn(mean.shape, generator=rng)
        raw = plain["decoder"].raw(z, y)
        white = (x + 1) / 2
        cross_entropy = (softplus(raw) - white * raw).sum() / BATCH
        kl = 0.5 * (mean**2 + log_variance.exp() - log_variance - 1).sum() / BATCH
        adam.zero_grad()
        (cross_entropy + 2.0 * kl).backward()
        adam.step()
    check(ours, plain, before)


def test_a_gpt_with_its_schedule_and_weight_decay() -> None:
    gpt = pytest.importorskip("aigc_text.gpt")
    config = pytest.importorskip("aigc_text.transformer_config").GPTConfig(
        layers=2, heads=2, width=16, dropout=0.1
    )
    tokens = ((drawn(COUNT, 13) + 1) * 10).long()  # (N, T + 1), below 20
    optimizer = AutoregressiveConfig().optimizer.model_copy(
        update={"lr": 3e-3, "warmup_steps": 2, "final_lr": 1e-4}
    )
    trainer = AutoregressiveTrainer(
        gpt.GPT(config, 20, 12), AutoregressiveConfig(optimizer=optimizer)
    )
    ours, before = fit(trainer, {"samples": tokens})
    plain = copy.deepcopy(before)
    network = plain["generator"]
    matrices = [p for p in network.parameters() if p.dim() > 1]
    others = [p for p in network.parameters() if p.dim() == 1]
    assert matrices
    assert others
    adamw = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
        betas=(0.9, 0.99),
    )
    for step, (batch,), _ in steps():
        for group in adamw.param_groups:
            group["lr"] = warmup_then_cosine(step, 3e-3, 2, 1e-4)
        x, y = tokens[batch][:, :-1], tokens[batch][:, 1:]
        log_p = network(x).log_softmax(2).gather(2, y[..., None])
        adamw.zero_grad()
        (-log_p.mean()).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        adamw.step()
    check(ours, plain, before)


@pytest.mark.parametrize("classes", [0, 3], ids=["plain", "conditional"])
def test_a_wavenet(classes: int) -> None:
    wavenet = pytest.importorskip("aigc_audio.wavenet")
    config = pytest.importorskip("aigc_audio.wavenet_config").WaveNetConfig(
        stacks=2, layers=3, width=8, skip_width=16
    )
    waveforms, labels = drawn(COUNT, 1, 65), torch.arange(COUNT) % 3
    optimizer = OptimizerConfig(lr=1e-3, betas=(0.9, 0.99))
    trainer = AutoregressiveTrainer(
        wavenet.WaveNet(config, 65, classes), AutoregressiveConfig(optimizer=optimizer)
    )
    ours, before = fit(trainer, {"samples": waveforms, "labels": labels})
    plain = copy.deepcopy(before)
    network = plain["generator"]
    adam = torch.optim.Adam(network.parameters(), lr=1e-3, betas=(0.9, 0.99))
    for _, (batch,), _ in steps():
        x = waveforms[batch][:, 0]  # (B, T)
        companded = x.sign() * torch.log(1 + 255 * x.abs()) / math.log(256)
        levels = ((companded + 1) * 127.5).round().long()
        start = torch.full((BATCH, 1), 256)  # a token of its own: the first level is learned too
        levels = torch.cat([start, levels], dim=1)  # (B, T + 1)
        logits = network(levels[:, :-1], labels[batch] if classes else None)
        log_p = logits.log_softmax(2).gather(2, levels[:, 1:, None])
        adam.zero_grad()
        (-log_p.mean()).backward()
        adam.step()
    check(ours, plain, before)


@pytest.mark.parametrize("critic_steps", [2, 5])
def test_a_wavegan_with_gradient_penalty(critic_steps: int) -> None:
    wavegan = pytest.importorskip("aigc_audio.wavegan")
    config = pytest.importorskip("aigc_audio.wavegan_config").WaveGANConfig(width=4, latent_size=10)
    waveforms = drawn(COUNT, 1, 4096)
    optimizer = OptimizerConfig(lr=1e-4, betas=(0.5, 0.9))
    trainer = AdversarialTrainer(
        wavegan.WaveGANGenerator(config, 4096),
        wavegan.WaveGANDiscriminator(config, 4096),
        AdversarialConfig(
            loss="wasserstein",
            gradient_penalty=10.0,
            critic_steps=critic_steps,
            generator=optimizer,
            discriminator=optimizer,
        ),
    )
    ours, before = fit(trainer, {"samples": waveforms})
    plain = copy.deepcopy(before)
    g, d = plain["generator"], plain["discriminator"]
    g_adam = torch.optim.Adam(g.parameters(), lr=1e-4, betas=(0.5, 0.9))
    d_adam = torch.optim.Adam(d.parameters(), lr=1e-4, betas=(0.5, 0.9))
    for _, batches, rng in steps(critic_steps):
        latents = []
        for batch in batches:
            real = waveforms[batch]
            latents.append(torch.randn(BATCH, 10, generator=rng))
            fake = g(latents[-1]).detach()
            distance = d(real).mean() - d(fake).mean()
            share = torch.rand(BATCH, 1, 1, generator=rng)
            between = (fake + share * (real - fake)).requires_grad_()
            slope = torch.autograd.grad(d(between).sum(), between, create_graph=True)[0]
            penalty = ((slope.square().sum((1, 2)).sqrt() - 1) ** 2).mean()
            d_adam.zero_grad()
            (10 * penalty - distance).backward()
            d_adam.step()
        g_adam.zero_grad()
        (-d(g(latents[0])).mean()).backward()  # as the engine: the step's first latents
        g_adam.step()
    # Of real and fake logits' difference, the last bias has no part.
    check(ours, plain, before, still="discriminator.logit.bias")

"""DCGAN's networks and recipe."""

import pytest
import torch

from aigc_core import (
    AdversarialConfig,
    ConfigError,
    Engine,
    EngineConfig,
    EngineObserver,
    RecipeContext,
    SampleSpec,
)
from aigc_image.dcgan import DCGANDiscriminator, DCGANGenerator, build
from aigc_image.dcgan_config import DCGANConfig


def context(shape: tuple[int, ...] = (1, 32, 32), **model: object) -> RecipeContext:
    trainer = model.pop("trainer", AdversarialConfig())
    return RecipeContext(
        DCGANConfig(**model), trainer, shape, SampleSpec(shape=shape, dtype="uint8"), 10
    )


def channels(network: torch.nn.Module) -> list[tuple[int, int]]:
    """(in, out) of every convolution."""
    return [
        (m.in_channels, m.out_channels)
        for m in network.modules()
        if isinstance(m, torch.nn.Conv2d | torch.nn.ConvTranspose2d)
    ]


def test_the_networks_are_the_published_ones_at_32_pixels() -> None:
    networks = build(context((3, 32, 32))).networks()
    assert channels(networks["generator"]) == [(100, 256), (256, 128), (128, 64), (64, 3)]
    assert channels(networks["discriminator"]) == [(3, 64), (64, 128), (128, 256), (256, 1)]
    kinds = [type(m).__name__ for m in networks["discriminator"].layers]
    assert kinds[:3] == ["Conv2d", "LeakyReLU", "Conv2d"]  # no BatchNorm on the first layer
    assert kinds.count("BatchNorm2d") == 2
    assert not any("Sigmoid" in kind for kind in kinds)


@pytest.mark.parametrize("channel_count", [1, 3])
@pytest.mark.parametrize("size", [32, 64, 128])
def test_images_and_logits_have_their_shapes(size: int, channel_count: int) -> None:
    config = DCGANConfig(width=4)
    generator = DCGANGenerator(config, channel_count, size)
    discriminator = DCGANDiscriminator(config, channel_count, size)
    images = generator(torch.randn(2, 100))
    assert images.shape == (2, channel_count, size, size)
    assert images.abs().max() <= 1
    assert discriminator(images).shape == (2,)


def test_more_pixels_mean_more_layers() -> None:
    depth = [len(channels(DCGANGenerator(DCGANConfig(width=4), 1, s))) for s in (32, 64, 128)]
    assert depth == [4, 5, 6]


def test_the_papers_initialization_is_the_default_and_the_frameworks_can_be_had() -> None:
    first = build(context()).networks()["generator"].layers[0].weight
    assert first.std().item() == pytest.approx(0.02, rel=0.02)
    first = build(context(initialization="pytorch")).networks()["generator"].layers[0].weight
    assert first.std().item() != pytest.approx(0.02, rel=0.02)


def test_a_gradient_penalty_on_batch_normalisation_is_refused() -> None:
    trainer = AdversarialConfig(loss="wasserstein", gradient_penalty=10)
    with pytest.raises(ConfigError, match="discriminator_normalization"):
        build(context(trainer=trainer))
    build(context(trainer=trainer, discriminator_normalization="layer"))


@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 48, 48), (1, 32, 64), (1, 512, 512)])
def test_sizes_that_the_networks_cannot_make_are_reported(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.options\.size"):
        build(context(shape))


def losses(precision: str, steps: int = 5) -> list[tuple[float, float]]:
    """Losses of the first steps on fixed images, seed 0."""
    reported: list[tuple[float, float]] = []

    class Take(EngineObserver):
        def fit_started(self, engine: Engine) -> None: ...
        def samples_due(self, engine: Engine) -> None: ...
        def checkpoint_due(self, engine: Engine) -> None: ...
        def metrics_logged(self, engine: Engine, metrics: dict[str, float]) -> None:
            reported.append((metrics["loss/discriminator"], metrics["loss/generator"]))

    torch.manual_seed(0)
    trainer = build(context(width=16))
    rng = torch.Generator().manual_seed(0)
    images = torch.rand((64, 1, 32, 32), generator=rng).round() * 2 - 1
    config = EngineConfig(
        steps=steps, batch_size=16, log_every=1, device="cpu", precision=precision
    )
    Engine(trainer, {"samples": images}, config, observers=[Take()]).fit()
    return reported


GOLDEN = [  # (discriminator, generator) by step
    (1.4558, 0.8874),
    (1.1808, 1.2048),
    (1.061, 1.4662),
    (0.9463, 1.6437),
    (0.8871, 1.728),
]


def test_the_first_losses_are_the_golden_ones() -> None:
    """A change of networks, loss, optimiser, seeding or data order shows here first.

    The tolerance is for other processors and thread counts, which sum in another order.
    """
    for ours, golden in zip(losses("fp32"), GOLDEN, strict=True):
        assert ours == pytest.approx(golden, rel=2e-3)


def test_bf16_follows_fp32() -> None:
    for bf16, golden in zip(losses("bf16"), GOLDEN, strict=True):
        assert bf16 == pytest.approx(golden, rel=0.1)

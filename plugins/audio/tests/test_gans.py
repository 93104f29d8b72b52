"""The networks and recipes of WaveGAN and SpecGAN."""

import pytest
import torch

from aigc_audio.specgan import build as build_specgan
from aigc_audio.specgan_config import SpecGANConfig
from aigc_audio.wavegan import PhaseShuffle, WaveGANDiscriminator, WaveGANGenerator
from aigc_audio.wavegan import build as build_wavegan
from aigc_audio.wavegan_config import WaveGANConfig
from aigc_core import AdversarialConfig, ConfigError, RecipeContext, SampleSpec


def context(
    model: object,
    shape: tuple[int, ...] = (1, 4096),
    labels: int = 10,
    trainer: AdversarialConfig | None = None,
) -> RecipeContext:
    spec = SampleSpec(shape=shape, dtype="int16", units={"sample_rate_hz": 8000})
    return RecipeContext(model, trainer or AdversarialConfig(), shape, spec, labels)


def convolutions(network: torch.nn.Module) -> list[tuple[int, int, int, int]]:
    """(in, out, kernel, stride) of every convolution."""
    return [
        (m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0])
        for m in network.modules()
        if isinstance(m, torch.nn.Conv1d | torch.nn.ConvTranspose1d)
    ]


def test_wavegan_is_the_published_one_at_16384_samples() -> None:
    """Table 3 and 4 of the paper, with d = 64 and c = 1."""
    networks = build_wavegan(context(WaveGANConfig(), (1, 16384))).networks()
    generator, discriminator = networks["generator"], networks["discriminator"]
    assert convolutions(generator) == [
        (1024, 512, 25, 4),
        (512, 256, 25, 4),
        (256, 128, 25, 4),
        (128, 64, 25, 4),
        (64, 1, 25, 4),
    ]
    assert convolutions(discriminator) == [
        (1, 64, 25, 4),
        (64, 128, 25, 4),
        (128, 256, 25, 4),
        (256, 512, 25, 4),
        (512, 1024, 25, 4),
    ]
    assert generator.first.out_features == 256 * 64
    assert discriminator.logit.in_features == 256 * 64
    shuffles = [m.most for m in discriminator.modules() if isinstance(m, PhaseShuffle)]
    assert shuffles == [2, 2, 2, 2]  # not after the last


@pytest.mark.parametrize("length", [4096, 8192, 16384])
@pytest.mark.parametrize("classes", [0, 3])
def test_waveforms_and_logits_have_their_shapes(length: int, classes: int) -> None:
    config = WaveGANConfig(width=4)
    labels = torch.tensor([0, 2]) if classes else None
    waveforms = WaveGANGenerator(config, length, classes)(torch.randn(2, 100), labels)
    assert waveforms.shape == (2, 1, length)
    assert waveforms.abs().max() <= 1
    assert WaveGANDiscriminator(config, length, classes)(waveforms, labels).shape == (2,)


def test_phase_shuffle_shifts_and_mirrors() -> None:
    shuffle = PhaseShuffle(2).train()
    x = torch.arange(6.0).view(1, 1, 6)
    seen = {tuple(shuffle(x).flatten().tolist()) for _ in range(200)}
    assert seen == {
        (0, 1, 2, 3, 4, 5),
        (1, 0, 1, 2, 3, 4),
        (2, 1, 0, 1, 2, 3),
        (1, 2, 3, 4, 5, 4),
        (2, 3, 4, 5, 4, 3),
    }
    assert torch.equal(shuffle.eval()(x), x)
    assert torch.equal(PhaseShuffle(0).train()(x), x)


def test_the_label_changes_what_is_made_and_how_it_is_judged() -> None:
    for trainer in (
        build_wavegan(context(WaveGANConfig(width=4, conditional=True))),
        build_specgan(context(SpecGANConfig(width=4, conditional=True))),
    ):
        generator, discriminator = trainer.generator().eval(), trainer.networks()["discriminator"]
        assert generator.label_count == 10
        latents = torch.randn(1, 100).expand(2, -1)
        made = generator(latents, torch.tensor([1, 7]))
        assert not torch.allclose(made[0], made[1])
        same = made[:1].expand(2, *made.shape[1:])
        logits = discriminator.eval()(same, torch.tensor([1, 7]))
        assert logits[0] != logits[1]


@pytest.mark.parametrize("size", [64, 128])
def test_specgan_compares_spectrograms_and_gives_waveforms(size: int) -> None:
    length = 8192 if size == 64 else 16384
    config = SpecGANConfig(width=4, size=size)
    trainer = build_specgan(context(config, (1, length)))
    generator = trainer.generator().eval()
    waveforms = torch.rand(3, 1, length) * 2 - 1
    pictures = generator.represent(waveforms)
    assert pictures.shape == (3, 1, size, size)
    assert generator(torch.randn(3, 100)).shape == pictures.shape
    with torch.no_grad():
        samples = generator.sample(2, rng=torch.Generator().manual_seed(0))
    assert samples.shape == (2, 1, length)
    assert samples.abs().max() <= 1
    assert trainer.networks()["discriminator"](pictures).shape == (3,)


def test_specgans_window_is_not_saved_with_the_weights() -> None:
    generator = build_specgan(context(SpecGANConfig(width=4))).generator()
    assert not any(name.startswith("mel.") for name in generator.state_dict())


@pytest.mark.parametrize("build", [build_wavegan, build_specgan])
def test_stereo_is_refused(build) -> None:
    config = WaveGANConfig() if build is build_wavegan else SpecGANConfig()
    with pytest.raises(ConfigError, match=r"mono.*2 channels.*dataset\.options\.channels"):
        build(context(config, (2, 4096)))


def test_lengths_that_the_networks_cannot_make_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"4096, 8192 or 16384 samples, not 5000"):
        build_wavegan(context(WaveGANConfig(), (1, 5000)))
    with pytest.raises(ConfigError, match=r"multiple of 64.*not 5000"):
        build_specgan(context(SpecGANConfig(), (1, 5000)))
    with pytest.raises(ConfigError, match=r"at least 4,096 samples, not 2048"):
        build_specgan(context(SpecGANConfig(), (1, 2048)))


def test_a_critic_judges_each_sample_alone() -> None:
    """As penalties on gradients need it."""
    still = WaveGANConfig(width=4, phase_shuffle=0)
    for trainer, shape in (
        (build_specgan(context(SpecGANConfig(width=4))), (1, 64, 64)),
        (build_wavegan(context(still)), (1, 4096)),
    ):
        judge = trainer.networks()["discriminator"].train()
        samples = torch.rand(3, *shape)
        assert torch.allclose(judge(samples)[:1], judge(samples[:1]), atol=1e-5)


def test_the_generator_normalises_if_asked_to() -> None:
    for kind, expected in (("none", 0), ("batch", 4)):
        generator = WaveGANGenerator(WaveGANConfig(width=4, generator_normalization=kind), 4096)
        norms = [m for m in generator.modules() if isinstance(m, torch.nn.BatchNorm1d)]
        assert len(norms) == expected

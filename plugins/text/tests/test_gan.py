"""Text by a GAN: tokens are drawn, and gradients flow through the chances of the draw."""

import pytest
import torch

from aigc_core import Run, generate, open_sampler, train
from aigc_text.gan import TextCritic, TextGenerator, gumbel
from aigc_text.gan_config import TextGANConfig

SMALL = TextGANConfig(latent_size=3, width=8, blocks=2)


def test_gumbel_noise_is_of_gumbels_distribution() -> None:
    noise = gumbel(torch.randn(200_000, generator=torch.Generator().manual_seed(0)))
    assert float(noise.mean()) == pytest.approx(0.5772, abs=0.01)  # Euler's constant
    assert float(noise.var()) == pytest.approx(torch.pi**2 / 6, abs=0.02)
    assert bool(torch.isfinite(gumbel(torch.tensor([-40.0, 40.0]))).all())


@torch.no_grad()
def test_tokens_are_drawn_with_the_chances_that_the_network_gives() -> None:
    torch.manual_seed(0)
    network = TextGenerator(SMALL, vocabulary_size=4, length=2)
    latents = network.sample_latents(20_000, rng=torch.Generator().manual_seed(1))
    latents[:, :3] = torch.tensor([0.5, -1.0, 2.0])  # the same chances for all
    drawn = network(latents)
    assert drawn.shape == (20_000, 4, 2)
    torch.testing.assert_close(drawn.sum(1), torch.ones(20_000, 2))
    hidden = network.first(latents[:1, :3]).unflatten(1, (-1, 2))
    chances = network.logits(network.blocks(hidden)).softmax(1)[0]
    assert float((drawn.mean(0) - chances).abs().max()) < 0.015


def test_a_draw_has_the_gradient_of_its_chances() -> None:
    torch.manual_seed(0)
    network = TextGenerator(SMALL, vocabulary_size=4, length=2)
    latents = network.sample_latents(5, rng=torch.Generator().manual_seed(1))
    weights = torch.randn(5, 4, 2)
    bias = network.logits.bias
    (found,) = torch.autograd.grad((network(latents) * weights).sum(), bias)
    vector, noise = latents[:, :3], gumbel(latents[:, 3:]).view(5, 4, 2)
    hidden = network.first(vector).unflatten(1, (-1, 2))
    soft = (network.logits(network.blocks(hidden)) + noise).softmax(1)
    (expected,) = torch.autograd.grad((soft * weights).sum(), bias)
    assert float(found.abs().max()) > 0
    torch.testing.assert_close(found, expected)


def test_texts_survive_the_way_to_vectors_and_back() -> None:
    network = TextGenerator(SMALL, vocabulary_size=9, length=5, classes=2)
    tokens = torch.randint(9, (3, 5))
    vectors = network.represent(tokens)
    assert vectors.shape == (3, 9, 5)
    assert torch.equal(network.restore(vectors), tokens)
    critic = TextCritic(SMALL, vocabulary_size=9, length=5, classes=2)
    assert critic(vectors, torch.tensor([0, 1, 1])).shape == (3,)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("gan") / "run"
    return train("text/gan", preset="tiny", device="cpu", out=folder, progress=False)


def test_a_run_draws_texts_of_the_length_of_its_data(run: Run) -> None:
    tokens = generate(run, count=3)
    assert tokens.shape == (3, 16)
    text = open_sampler(run).modality.decode(tokens[0])
    assert text
    assert "prompt" not in open_sampler(run).describe()["conditions"]

"""WaveNet: causal, and the same with the cache as without."""

import pytest
import torch

from aigc_audio.wavenet import WaveNet, build
from aigc_audio.wavenet_config import WaveNetConfig
from aigc_core import (
    AutoregressiveConfig,
    AutoregressiveGenerator,
    ConfigError,
    RecipeContext,
    SampleSpec,
    TokenControls,
)

SMALL = WaveNetConfig(stacks=2, layers=4, width=8, skip_width=16)
"""Looks back on 2 (1 + 2 + 4 + 8) samples."""


@pytest.fixture(params=[0, 3], ids=["plain", "conditional"])
def network(request: pytest.FixtureRequest) -> WaveNet:
    torch.manual_seed(0)
    made = WaveNet(SMALL, 100, request.param).eval()
    for parameter in made.parameters():  # the defaults hardly tell one sample from another
        torch.nn.init.normal_(parameter, 0.0, 0.4)
    return made


def labels(network: WaveNet, count: int) -> torch.Tensor | None:
    return torch.arange(count) % network.label_count if network.label_count else None


def drawn_from(network: WaveNet, rng: torch.Generator, **controls) -> torch.Tensor:
    given = {"label": labels(network, 2)} if network.label_count else {}
    return network.sample(2, rng=rng, conditions=given, controls=TokenControls(**controls))


@torch.no_grad()
def test_a_logit_depends_on_the_receptive_field_and_on_nothing_else(network: WaveNet) -> None:
    assert network.receptive_field == 31
    tokens = torch.randint(256, (1, 80))
    condition = labels(network, 1)
    logits = network(tokens, condition)
    for place in (10, 40):
        changed = tokens.clone()
        changed[0, place] = (changed[0, place] + 100) % 256
        different = (network(changed, condition) != logits).any(2)[0].nonzero().flatten()
        assert different.min() == place  # the past does not change
        assert different.max() == place + 30


@torch.no_grad()
def test_the_cache_gives_the_logits_of_the_whole(network: WaveNet) -> None:
    tokens = torch.randint(256, (4, 90))
    condition = labels(network, 4)
    whole = network(tokens, condition)  # (4, 90, 256)
    cache = network.new_cache(4, condition)
    first = network.next_logits(tokens[:, :7], cache)  # a prompt
    torch.testing.assert_close(first, whole[:, 6], rtol=1e-4, atol=1e-4)
    for place in range(7, 90):
        logits = network.next_logits(tokens[:, place : place + 1], cache)
        torch.testing.assert_close(logits, whole[:, place], rtol=1e-4, atol=1e-4)
    assert cache.position == 90


@torch.no_grad()
def test_cached_samples_equal_uncached_ones(network: WaveNet) -> None:
    """The base class keeps all tokens and puts them through the network each time."""

    def drawn(kind: type) -> torch.Tensor:
        cached = {name: getattr(kind, name) for name in ("new_cache", "next_logits")}
        copy = type("Copy", (WaveNet,), cached)
        network.__class__ = copy
        rng = torch.Generator().manual_seed(5)
        return drawn_from(network, rng, tokens=150)

    with_cache, without = drawn(WaveNet), drawn(AutoregressiveGenerator)
    assert with_cache.shape == (2, 1, 150)
    assert torch.equal(with_cache, without)


@torch.no_grad()
def test_the_work_of_a_sample_does_not_grow(network: WaveNet) -> None:
    """What is kept has the size of the receptive field, after 10 samples and after 500."""
    cache = network.new_cache(1, labels(network, 1))
    sizes = []
    for count in (10, 490):
        network.next_logits(torch.randint(256, (1, count)), cache)
        sizes.append(sum(ring.numel() for ring in cache.rings))
    assert sizes[0] == sizes[1] == 30 * 8


def test_waveforms_become_levels_and_come_back(network: WaveNet) -> None:
    waveforms = torch.linspace(-1, 1, 50).view(1, 1, 50)
    tokens = network.to_tokens(waveforms)
    assert tokens.shape == (1, 50)
    assert tokens.min() == 0
    assert tokens.max() == 255
    assert (network.from_tokens(tokens) - waveforms).abs().max() < 0.03


def test_sampling_options_are_obeyed(network: WaveNet) -> None:
    rng = torch.Generator().manual_seed(0)
    drawn = drawn_from(network, rng, tokens=40, top_k=1)
    if not network.label_count:
        assert torch.equal(drawn[0], drawn[1])


def test_a_waveform_is_continued_as_its_tokens_are(network: WaveNet) -> None:
    """The prompt is a waveform; what is drawn after it is what the network expects after that."""
    waveform = torch.sin(torch.arange(40) / 3).view(1, 1, 40).expand(2, -1, -1)
    given = {"prompt": waveform}
    if network.label_count:
        given["label"] = labels(network, 2)
    rng = torch.Generator().manual_seed(0)
    drawn = network.sample(2, rng=rng, conditions=given, controls=TokenControls(tokens=3, top_k=1))
    tokens = network.to_tokens(waveform)
    for _ in range(3):
        logits = network(tokens, given.get("label"))[:, -1]
        tokens = torch.cat([tokens, logits.argmax(1, keepdim=True)], dim=1)
    assert torch.equal(drawn, network.from_tokens(tokens[:, -3:]))


def test_the_recipe_asks_for_mono() -> None:
    spec = SampleSpec(shape=(2, 64), dtype="int16", units={"sample_rate_hz": 8000})
    with pytest.raises(ConfigError, match="makes mono sound"):
        build(RecipeContext(SMALL, AutoregressiveConfig(), (2, 64), spec, 0))


def test_every_parameter_learns(network: WaveNet) -> None:
    logits = network(torch.arange(257).repeat(2, 1), labels(network, 2))
    logits.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_the_start_is_a_token_of_its_own(network: WaveNet) -> None:
    """Clips begin with any level; a penalty on repetition does not trip over it."""
    assert network.start_token == network.vocabulary_size == 256
    assert network.learns_start
    rng = torch.Generator().manual_seed(0)
    drawn = drawn_from(network, rng, tokens=30, repetition_penalty=1.5)
    assert drawn.shape == (2, 1, 30)

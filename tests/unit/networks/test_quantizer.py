"""The codebook: what is nearest, how codes follow what they stand for, and dead ones."""

import math

import pytest
import torch
from torch import Tensor

from aigc_core.networks import VectorQuantizer
from aigc_core.networks.quantizer import perplexity

K, D = 6, 3


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def vectors(count: int, seed: int = 0) -> Tensor:
    """Latents ``(count, D, 2, 2)``."""
    return torch.randn(count, D, 2, 2, generator=rng(seed))


def rows(latents: Tensor) -> Tensor:
    return latents.permute(0, 2, 3, 1).reshape(-1, D)


def begun(**options) -> VectorQuantizer:
    """A codebook after its first update, with which averages begin."""
    torch.manual_seed(0)
    quantizer = VectorQuantizer(K, D, **options)
    latents = vectors(20, seed=9)
    quantizer.observe(latents, quantizer.nearest(latents), rng())
    quantizer.update()
    return quantizer


def step(quantizer: VectorQuantizer, *batches: Tensor) -> None:
    for batch in batches:
        quantizer.observe(batch, quantizer.nearest(batch), rng())
    quantizer.update()


@pytest.mark.parametrize("sides", [(5,), (4, 3), (2, 3, 4)])
def test_each_vector_gets_the_nearest_code_whatever_the_number_of_sides(sides) -> None:
    torch.manual_seed(0)
    quantizer = VectorQuantizer(K, D)
    latents = torch.randn(2, D, *sides)
    tokens = quantizer.nearest(latents)
    assert tokens.shape == (2, *sides)
    codes = quantizer.lookup(tokens)
    assert codes.shape == latents.shape
    flat, found = latents.movedim(1, -1).reshape(-1, D), tokens.flatten().tolist()
    for vector, number in zip(flat, found, strict=True):
        distances = [(vector - code).square().sum().item() for code in quantizer.codebook]
        assert number == distances.index(min(distances))


def test_the_codebook_begins_as_a_sample_of_the_first_batch() -> None:
    known = {tuple(row.tolist()) for row in rows(vectors(20, seed=9))}
    quantizer = begun()
    assert all(tuple(code.tolist()) in known for code in quantizer.codebook)
    torch.testing.assert_close(quantizer.usage, torch.full((K,), 80 / K))


def test_codes_are_running_averages_of_what_they_stand_for() -> None:
    """Against the definition, vector by vector."""
    quantizer = begun(decay=0.9, revive_below=0.0)
    usage = quantizer.usage.tolist()
    codebook = quantizer.codebook.tolist()
    sums = [[v * n for v in code] for code, n in zip(codebook, usage, strict=True)]
    for seed in range(5):
        latents = vectors(10, seed)
        n, s = [0.0] * K, [[0.0] * D for _ in range(K)]
        codes = [[v / usage[k] for v in sums[k]] for k in range(K)]
        for vector in rows(latents).tolist():
            nearest = min(range(K), key=lambda k: math.dist(vector, codes[k]))
            n[nearest] += 1
            s[nearest] = [a + b for a, b in zip(s[nearest], vector, strict=True)]
        usage = [0.9 * old + 0.1 * new for old, new in zip(usage, n, strict=True)]
        sums = [
            [0.9 * a + 0.1 * b for a, b in zip(old, new, strict=True)]
            for old, new in zip(sums, s, strict=True)
        ]
        step(quantizer, latents)
        expected = torch.tensor([[v / usage[k] for v in sums[k]] for k in range(K)])
        torch.testing.assert_close(quantizer.codebook, expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(quantizer.usage, torch.tensor(usage), rtol=1e-4, atol=1e-5)


def test_a_batch_in_parts_moves_the_codebook_as_a_whole_one_does() -> None:
    whole, parts, batch = begun(), begun(), vectors(12)
    step(whole, batch)
    step(parts, *batch.split(4))
    torch.testing.assert_close(parts.codebook, whole.codebook)
    torch.testing.assert_close(parts.usage, whole.usage)


@pytest.mark.parametrize("learning", ["average", "gradient"])
def test_a_dead_code_is_replaced_by_a_vector_of_the_batch(learning) -> None:
    quantizer = begun(learning=learning, decay=0.5, revive_below=0.2)
    with torch.no_grad():
        quantizer.codebook[2] = 1000.0  # where nothing is nearest
        if learning == "average":
            quantizer.sums[2] = 1000.0 * quantizer.usage[2]
    batches = 0
    while quantizer.codebook[2, 0] > 999:
        latents = vectors(20, batches)
        known = {tuple(row.tolist()) for row in rows(latents)}
        step(quantizer, latents)
        batches += 1
    assert batches == 3  # 0.5 ** 3 < 0.2
    assert tuple(quantizer.codebook[2].tolist()) in known
    assert quantizer.usage[2] == pytest.approx(80 / K)
    step(quantizer, vectors(30, 77))
    assert quantizer.codebook[2].abs().max() < 10  # and its average began anew


def test_a_code_that_is_not_used_stays_where_it_is() -> None:
    quantizer = begun(revive_below=0.0, decay=0.5)
    with torch.no_grad():
        quantizer.codebook[2] = 1000.0
        quantizer.sums[2] = 1000.0 * quantizer.usage[2]
    for seed in range(300):  # its average is far below what a float32 can hold
        step(quantizer, vectors(4, seed))
    assert torch.isfinite(quantizer.codebook).all()
    torch.testing.assert_close(quantizer.codebook[2], torch.full((D,), 1000.0))


def test_nothing_collected_changes_nothing() -> None:
    quantizer = begun()
    before = {name: value.clone() for name, value in quantizer.state_dict().items()}
    quantizer.update()
    for name, value in quantizer.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_what_is_collected_is_not_saved() -> None:
    assert set(begun().state_dict()) == {"codebook", "sums", "usage"}
    assert set(begun(learning="gradient").state_dict()) == {"codebook", "usage"}


def test_perplexity_counts_the_codes_that_are_used() -> None:
    assert float(perplexity(torch.tensor([3.0, 3.0, 3.0, 0.0]))) == pytest.approx(3)
    assert float(perplexity(torch.tensor([5.0, 0.0]))) == pytest.approx(1)

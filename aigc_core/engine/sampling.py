"""Drawing samples from a generator: same seed, same bytes, however many are asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from aigc_core.engine.seeds import derive_seed, isolated_rng
from aigc_core.interfaces import Generator


@contextlib.contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Put a network and all its modules into evaluation mode, and restore each afterwards."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def draw_samples(
    generator: Generator,
    count: int,
    *,
    seed: int,
    device: torch.device,
    labels: Tensor | None = None,
    controls: Mapping[str, Any] | None = None,
) -> Iterator[Tensor]:
    """Draw ``count`` samples in chunks, in float32 whatever the training's precision was.

    A conditional generator is given ``labels`` ``(count,)``, or else each class in turn;
    ``controls`` are the generator's own sampling options. Chunk c is always computed whole, with a
    random generator seeded by (seed, c) alone, so sample i of a seed does not depend on ``count``.
    The network's mode and torch's global random state are left unchanged.

    Yields:
        ``(n, *sample_shape)`` in the model's range, on ``device``; n is ``sample_chunk``, and the
        last chunk is cut to fit.
    """
    size = generator.sample_chunk
    classes = generator.label_count
    for chunk, start in enumerate(range(0, count, size)):
        chunk_seed = derive_seed(seed, "samples", chunk)
        condition = None
        if classes:
            condition = torch.arange(start, start + size) % classes
            if labels is not None:
                given = labels[start : start + size]
                condition[: len(given)] = given
            condition = condition.to(device)
        rng = torch.Generator(device).manual_seed(chunk_seed)
        with torch.no_grad(), evaluation_mode(generator), isolated_rng(device, chunk_seed):
            samples = generator.sample(size, rng=rng, condition=condition, **(controls or {}))
        yield samples[: count - start]


def interpolate_latents(first: Tensor, last: Tensor, count: int) -> Tensor:
    """Return ``(count, *shape)`` latents on the way from one to another, both ends included.

    The way is a great circle (Shoemake 1985; White 2016, "Sampling Generative Networks"): on a
    straight line, a normal latent's length would shrink to values a generator has rarely seen.
    """
    a, b = first.flatten().double(), last.flatten().double()
    cosine = (a @ b / (a.norm() * b.norm())).clamp(-1, 1)
    angle = cosine.arccos()
    t = torch.linspace(0, 1, count, dtype=torch.float64, device=a.device)[:, None]  # (count, 1)
    if angle.sin().abs() < 1e-6:  # the same direction, or the opposite one
        mixed = (1 - t) * a + t * b
    else:
        mixed = (((1 - t) * angle).sin() * a + (t * angle).sin() * b) / angle.sin()
    return mixed.float().reshape(count, *first.shape)

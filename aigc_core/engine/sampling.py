"""Drawing samples from a generator, the same bytes for the same seed however many are asked."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from aigc_core.engine.seeds import derive_seed, isolated_rng
from aigc_core.interfaces import Generator


@contextlib.contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Put a network and all its parts into evaluation mode, and each back as it was."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def draw_samples(
    generator: Generator, count: int, *, seed: int, device: torch.device
) -> Iterator[Tensor]:
    """Draw ``count`` samples in chunks, in float32 whatever the training's precision was.

    Chunk c is computed whole, by its own random generator, from (seed, c) alone: sample i of a
    seed does not depend on ``count``. The network's mode and torch's global random state are
    left as they were.

    Yields:
        ``(n, *sample_shape)`` in the model's range, on ``device``; n is ``sample_chunk``, the last
        one cut to fit.
    """
    size = generator.sample_chunk
    for chunk, start in enumerate(range(0, count, size)):
        chunk_seed = derive_seed(seed, "samples", chunk)
        rng = torch.Generator(device).manual_seed(chunk_seed)
        with torch.no_grad(), evaluation_mode(generator), isolated_rng(device, chunk_seed):
            samples = generator.sample(size, rng=rng)
        yield samples[: count - start]

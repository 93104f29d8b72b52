"""Rows of several requests in one batch, where that provably changes no byte of any of them."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from aigc_core.api import Sampler
from aigc_core.api.request import CheckedRequest
from aigc_core.engine import by_output, chunk_inputs
from aigc_core.interfaces import LatentGenerator

logger = logging.getLogger("aigc")
Rows = tuple[Tensor, Tensor | None]
"""Latents ``(n, *latent_shape)`` and labels ``(n,)``; None for a generator without classes."""


class RowsBatcher:
    """Computes rows of several requests together, in batches of sizes that were found safe."""

    def __init__(self, sampler: Sampler, sizes: Sequence[int]) -> None:
        """Take the sizes of batches that are computed, ascending; the last is the largest."""
        if not isinstance(sampler.generator, LatentGenerator):
            raise TypeError(f"{type(sampler.generator).__name__} is no LatentGenerator")
        self.sampler, self.sizes = sampler, tuple(sizes)
        self.generator: LatentGenerator = sampler.generator

    def compute(self, works: list[RowsWork]) -> None:
        """Compute rows of those that have none ready, the first ones' first."""
        room = self.sizes[-1]
        given: list[tuple[RowsWork, Rows]] = []
        for work in works:
            if room and not work.ready and (rows := work.take(room)) is not None:
                given.append((work, rows))
                room -= len(rows[0])
        if not given:
            return
        rows = joined_rows([rows for _, rows in given])
        drawn = by_output(self.generator, self._drawn(rows))
        start = 0
        for work, (latents, _) in given:
            part = slice(start, start + len(latents))
            kept = {name: samples[part] for name, samples in drawn.items()}
            work.ready.append(self.sampler.stored(kept, work.asked.wanted))
            start += len(latents)

    def _drawn(self, rows: Rows) -> Tensor:
        count = len(rows[0])
        size = next(size for size in self.sizes if size >= count)
        return batch_of(self.generator, rows, size)[:count]


class RowsWork:
    """A request for samples, whose rows a ``RowsBatcher`` computes."""

    def __init__(self, batcher: RowsBatcher, asked: CheckedRequest) -> None:
        self.batcher, self.asked = batcher, asked
        self.ready: deque[dict[str, Tensor]] = deque()
        self._chunks = self._latents()
        self._chunk: Rows | None = None
        self._left = asked.count

    def _latents(self) -> Iterator[Rows]:
        generator, asked = self.batcher.generator, self.asked
        inputs = chunk_inputs(
            generator,
            asked.count,
            seed=asked.seed,
            device=self.batcher.sampler.device,
            conditions=asked.conditions,
        )
        for start, rng, conditions in inputs:
            latents = generator.sample_latents(generator.sample_chunk, rng=rng)
            labels = conditions.get("label")
            kept = slice(asked.count - start)
            yield latents[kept], None if labels is None else labels[kept]

    def take(self, most: int) -> Rows | None:
        """Return further rows, at most this many; None if all were taken."""
        if self._chunk is None:
            self._chunk = next(self._chunks, None)
        if self._chunk is None:
            return None
        latents, labels = self._chunk
        self._chunk = None
        if len(latents) > most:
            self._chunk = latents[most:], None if labels is None else labels[most:]
        return latents[:most], None if labels is None else labels[:most]

    def __iter__(self) -> RowsWork:
        return self

    def __next__(self) -> dict[str, Tensor] | None:
        """Return stored samples by output, or None if it was others' turn."""
        if not self._left:
            raise StopIteration
        if not self.ready:
            return None
        piece = self.ready.popleft()
        self._left -= len(next(iter(piece.values())))
        return piece


def batcher_for(sampler: Sampler) -> RowsBatcher | None:
    """Return what computes rows of several requests together; None where rows depend on others."""
    generator = sampler.generator
    if not isinstance(generator, LatentGenerator):
        return None
    if type(generator).sample is not LatentGenerator.sample:
        return None
    sizes = safe_sizes(generator, sampler.device)
    logger.info(
        "%s: rows are the same bytes in batches of %s.",
        sampler.run.recipe,
        ", ".join(map(str, sizes)) or f"{generator.sample_chunk} from one request only",
    )
    return RowsBatcher(sampler, sizes) if sizes else None


def safe_sizes(
    generator: LatentGenerator, device: torch.device, *, trials: int = 4
) -> tuple[int, ...]:
    """Return the sizes of batches in which rows are the bytes that they are in a whole chunk.

    Each size is tried with rows of two seeds in a random order, at other places than in their
    chunks, and with one that is repeated to fill a batch up.

    Args:
        generator: in evaluation mode.
        device: that it is on.
        trials: batches to try of each size.

    Returns:
        Powers of two and ``sample_chunk``, ascending; none if rows of one batch depend on one
        another, so that not even whole chunks can be made of several requests' rows.
    """
    chunk = generator.sample_chunk
    chunks, expected = [], []
    for seed in (1, 2):
        rng = torch.Generator(device).manual_seed(seed)
        latents = generator.sample_latents(chunk, rng=rng)
        labels = None
        if generator.label_count:
            labels = (torch.arange(chunk, device=device) + seed) % generator.label_count
        chunks.append((latents, labels))
        expected.append(batch_of(generator, chunks[-1], chunk))
    latents, labels = joined_rows(chunks)
    wanted = torch.cat(expected)
    order = torch.Generator().manual_seed(3)

    def is_safe(size: int) -> bool:
        for trial in range(trials):
            rows = torch.randperm(len(latents), generator=order)[: max(1, size - trial)].to(device)
            found = batch_of(
                generator, (latents[rows], None if labels is None else labels[rows]), size
            )
            if not _same_bytes(found[: len(rows)], wanted[rows]):
                return False
        return True

    if not is_safe(chunk):
        return ()
    smaller = [1 << power for power in range(chunk.bit_length()) if 1 << power < chunk]
    return (*filter(is_safe, smaller), chunk)


def joined_rows(parts: Sequence[Rows]) -> Rows:
    """Join rows of several requests."""
    labels = [labels for _, labels in parts if labels is not None]
    return torch.cat([latents for latents, _ in parts]), torch.cat(labels) if labels else None


def batch_of(generator: LatentGenerator, rows: Rows, size: int) -> Tensor:
    """Return the samples of rows in the model's form, in a batch that is filled up to a size."""
    filled: list[Any] = []
    for values in rows:
        if values is not None and len(values) < size:
            values = torch.cat([values, values[:1].expand(size - len(values), *values.shape[1:])])
        filled.append(values)
    with torch.no_grad():
        return generator.restore(generator(*filled))


def _same_bytes(first: Tensor, second: Tensor) -> bool:
    a, b = (value.contiguous().view(torch.uint8) for value in (first, second))
    return a.shape == b.shape and torch.equal(a, b)

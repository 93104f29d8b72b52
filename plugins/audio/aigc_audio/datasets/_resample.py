"""Resample sound block by block."""

import functools
import math
from collections.abc import Iterable, Iterator
from fractions import Fraction

import torch
from torch import Tensor
from torchaudio.transforms import Resample

MIN_RATE_HZ, MAX_RATE_HZ = 100, 1_000_000
"""Range of sample rates that are plausible for sound."""
_LARGEST_TERM = 2560
"""Largest term of the ratio of two rates; a kernel's size is about its square. Enough for 192,000
Hz to 11,025 Hz; where a ratio needs larger terms, the pitch is off by less than 0.1 cents."""
_BLOCK = 1 << 16  # samples at the higher of the two rates
_ZERO_CROSSINGS = 6  # of the sinc, on each side; torchaudio's default, as is the next
_ROLLOFF = 0.99


class Resampler:
    """Resamples with torchaudio's windowed sinc; the kernels are computed once."""

    def __init__(self, source_hz: int, target_hz: int) -> None:
        low, high = sorted((source_hz, target_hz))
        ratio = Fraction(low, high).limit_denominator(_LARGEST_TERM)
        terms = ratio.numerator, ratio.denominator
        self._source, self._target = terms if source_hz <= target_hz else terms[::-1]
        self._kernel = Resample(
            self._source, self._target, lowpass_filter_width=_ZERO_CROSSINGS, rolloff=_ROLLOFF
        )
        reach = math.ceil(_ZERO_CROSSINGS * self._source / (min(terms) * _ROLLOFF))
        # Blocks and margins are whole periods of the ratio, so that phases always line up.
        self._margin_periods = math.ceil(reach / self._source)
        self._block_periods = max(1, _BLOCK // max(terms))

    def __call__(self, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Map float blocks ``(C, n)`` of any lengths to blocks ``(C, m)`` at the target rate.

        Joined, they equal the whole resampled at once: ``ceil(total * target / source)`` samples.
        """
        if self._source == self._target:
            yield from blocks
            return
        margin = self._margin_periods * self._source
        block = self._block_periods * self._source
        waiting: Tensor | None = None  # a margin already resampled, then what is not yet
        for new in blocks:
            # Silence before the beginning, as the kernel assumes.
            before = new.new_zeros(len(new), margin) if waiting is None else waiting
            waiting = torch.cat([before, new], dim=1)
            while waiting.shape[1] >= block + 2 * margin:
                yield self._resampled(waiting[:, : block + 2 * margin], block)
                waiting = waiting[:, block:]
        if waiting is not None:
            yield self._resampled(waiting, waiting.shape[1] - margin)

    def _resampled(self, samples: Tensor, count: int) -> Tensor:
        """Resample the ``count`` samples that follow the first margin."""
        done: Tensor = self._kernel(samples)
        first = self._margin_periods * self._target
        return done[:, first : first + math.ceil(count * self._target / self._source)]


@functools.lru_cache(maxsize=64)
def resampler(source_hz: int, target_hz: int) -> Resampler:
    """Return the resampler from one rate to another, cached since kernels are slow to compute."""
    return Resampler(source_hz, target_hz)

"""A codebook: the nearest of some learned vectors takes the place of each vector.

van den Oord et al. 2017, "Neural Discrete Representation Learning".
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

_LEAST_USE = 1e-6  # below it a mean of what a code stood for is no longer meaningful


class VectorQuantizer(nn.Module):
    """Vectors ``(B, D, *S)`` to the nearest of K codes, and to their numbers ``(B, *S)``.

    The codebook is either trained by gradients or follows the vectors that each code stands for
    (appendix A.1): ``observe`` collects them, and ``update`` moves the codes once for all that was
    collected. Both count how often codes are used. A code that is hardly used is replaced by a
    random vector of the batch (Dhariwal et al. 2020, "Jukebox", section 3.1); at first all are. So
    the codebook begins as a sample of what it has to stand for.
    """

    codebook: Tensor
    """float32 ``(K, D)``."""
    usage: Tensor
    """float32 ``(K,)``: how many vectors of a batch a code stands for, on average."""
    summed = ("_seen", "_seen_sums", "_candidates")
    """Buffers whose changes add up where several processes take parts of a batch."""
    sums: Tensor
    """float32 ``(K, D)``: the average sum of these vectors; with ``learning="average"`` only."""

    def __init__(
        self,
        codes: int,
        size: int,
        *,
        learning: Literal["average", "gradient"] = "average",
        decay: float = 0.99,
        revive_below: float = 0.02,
    ) -> None:
        """Make a codebook of random codes.

        Args:
            codes: K.
            size: D.
            learning: whether codes are averages of what they stand for, or parameters.
            decay: of the averages, in [0, 1).
            revive_below: share of even use, N / K of N vectors, below which a code is replaced.
        """
        super().__init__()
        self.codes, self.size = codes, size
        self.learning, self.decay, self.revive_below = learning, decay, revive_below
        start = torch.randn(codes, size)
        if learning == "gradient":
            self.codebook = nn.Parameter(start)
        else:
            self.register_buffer("codebook", start)
            self.register_buffer("sums", torch.zeros(codes, size))
        self.register_buffer("usage", torch.zeros(codes))
        # What observe has seen since the last update. Buffers, so that what a skipped step has
        # collected is forgotten with it; not saved, since they are empty between steps.
        self._seen: Tensor
        self._seen_sums: Tensor
        self._candidates: Tensor
        self.register_buffer("_seen", torch.zeros(codes), persistent=False)
        self.register_buffer("_seen_sums", torch.zeros(codes, size), persistent=False)
        self.register_buffer("_candidates", torch.zeros(codes, size), persistent=False)

    def nearest(self, vectors: Tensor) -> Tensor:
        """Return the number of the code nearest to each of ``(B, D, *S)``: int64 ``(B, *S)``.

        Computed in float32, even under autocast.
        """
        with torch.autocast(vectors.device.type, enabled=False):
            rows = vectors.movedim(1, -1).float()  # (B, D, *S) -> (B, *S, D)
            products = rows.flatten(0, -2) @ self.codebook.t()  # (N, K)
            distances = self.codebook.square().sum(1) - 2 * products  # without the rows' lengths
        return distances.argmin(1).view(rows.shape[:-1])

    def lookup(self, tokens: Tensor) -> Tensor:
        """Return the codes ``(B, D, *S)`` of int64 tokens ``(B, *S)``."""
        return embedding(tokens, self.codebook).movedim(-1, 1)

    def counts(self, tokens: Tensor) -> Tensor:
        """Return how often each code is among int64 tokens of any shape: float32 ``(K,)``."""
        places = tokens.flatten()
        ones = torch.ones_like(places, dtype=torch.float32)
        return torch.zeros_like(self.usage).index_add_(0, places, ones)

    @property
    def shares(self) -> Tensor:
        """How often each code is used, float32 ``(K,)`` that sum to 1; even before any was."""
        usage = self.usage + _LEAST_USE
        return usage / usage.sum()

    @torch.no_grad()
    def observe(
        self,
        vectors: Tensor,
        tokens: Tensor,
        rng: torch.Generator,
        *,
        part: int = 0,
        all_parts: int = 1,
    ) -> Tensor:
        """Collect what codes stood for, and return how often each was: float32 ``(K,)``.

        Args:
            vectors: ``(B, D, *S)``.
            tokens: their nearest codes, ``(B, *S)``.
            rng: of the choice of vectors that may take a dead code's place.
            part: which part of a batch the vectors are, if it is split; ``rng`` is then in the
                same state for each.
            all_parts: how many parts it has; the choice is made among the vectors of all of them.
        """
        rows = vectors.detach().movedim(1, -1).float().reshape(-1, self.size)  # (N, D)
        counts = self.counts(tokens)
        self._seen += counts
        self._seen_sums.index_add_(0, tokens.flatten(), rows)
        count = len(rows)
        chosen = torch.randint(count * all_parts, (self.codes,), generator=rng, device=rng.device)
        chosen -= part * count
        own = ((chosen >= 0) & (chosen < count))[:, None]
        found = rows[chosen.clamp(0, count - 1)]
        self._candidates.copy_(torch.where(own, found, self._candidates))
        return counts

    @torch.no_grad()
    def update(self) -> None:
        """Move the codebook by what was collected, and forget that; nothing if there is nothing.

        Appendix A.1: with n the number and s the sum of the vectors that a code stood for, its
        usage becomes γ usage + (1 - γ) n, its sums γ sums + (1 - γ) s, and the code their quotient.
        """
        total = self._seen.sum()
        even = total / self.codes
        usage = self.usage.lerp(self._seen, 1 - self.decay)
        dead = (usage < self.revive_below * even) | (self.usage.sum() == 0)
        seen = total > 0
        revived = (dead & seen)[:, None]
        codebook = self.codebook
        if self.learning == "average":
            sums = self.sums.lerp(self._seen_sums, 1 - self.decay)
            means = sums / usage.clamp(min=_LEAST_USE)[:, None]
            moved = seen & (usage > _LEAST_USE)[:, None]
            codebook = torch.where(moved, means, codebook)
            sums = torch.where(revived, self._candidates * even, sums)
            self.sums.copy_(torch.where(seen, sums, self.sums))
        self.codebook.copy_(torch.where(revived, self._candidates, codebook))
        usage = torch.where(dead, even, usage)
        self.usage.copy_(torch.where(seen, usage, self.usage))
        self._seen.zero_()
        self._seen_sums.zero_()
        self._candidates.zero_()


def perplexity(counts: Tensor) -> Tensor:
    """Return exp(entropy) of shares proportional to ``counts``: the number of codes, used evenly.

    Args:
        counts: ``(K,)``, at least 0, not all 0.
    """
    shares = counts / counts.sum()
    entropy: Tensor = torch.special.entr(shares).sum()
    return entropy.exp()

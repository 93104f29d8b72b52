"""Scores of generated samples, from the outputs of a classifier for real ones."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg

from aigc_core.config import parse_assignment


@dataclass(frozen=True)
class Scores:
    """Scores of a set of samples; ``frechet`` is better when low, the others when high."""

    frechet: float
    """Fréchet distance to real held-out samples in the classifier's features (float64)."""
    inception_score: float
    """exp E KL(p(y|x) ‖ p(y)), Salimans et al. 2016; at most 10 for ten classes."""
    confident: float
    """Share of samples to which the classifier gives a class with a probability of at least 0.9."""
    least_common_class: float
    """Share of the rarest class; 0.1 means that ten classes are perfectly balanced."""


def score(features: np.ndarray, probabilities: np.ndarray, real_features: np.ndarray) -> Scores:
    """Score features ``(N, F)`` and class probabilities ``(N, K)`` against ``(M, F)``, float64."""
    difference = features.mean(0) - real_features.mean(0)
    a, b = np.cov(features.T), np.cov(real_features.T)
    # The trace of the matrix square root; by eigenvalues, since unused features make it singular.
    root_trace = np.sqrt(scipy.linalg.eigvals(a @ b).astype(complex)).real.sum()
    marginal = probabilities.mean(0)
    divergence = (probabilities * (np.log(probabilities + 1e-30) - np.log(marginal))).sum(1)
    classes = probabilities.shape[1]
    counts = np.bincount(probabilities.argmax(1), minlength=classes) / len(probabilities)
    return Scores(
        frechet=float(difference @ difference + np.trace(a + b) - 2 * root_trace),
        inception_score=float(np.exp(divergence.mean())),
        confident=float((probabilities.max(1) >= 0.9).mean()),
        least_common_class=float(counts.min()),
    )


def settings(given: Sequence[str]) -> list[dict[str, Any]]:
    """Return every combination of ``["solver=euler,adams", "steps=10,25"]``."""
    pairs = [text.split("=", 1) for text in given]
    choices = [[parse_assignment(f"{key}={v}") for v in values.split(",")] for key, values in pairs]
    return [dict(combination) for combination in itertools.product(*choices)]

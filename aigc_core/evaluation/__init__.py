"""Metrics that work for any kind of content."""

from aigc_core.evaluation.sliced_wasserstein import SlicedWasserstein, sliced_wasserstein

__all__ = ["SlicedWasserstein", "sliced_wasserstein"]

"""What the core itself brings: nothing that knows a kind of content."""

from __future__ import annotations

from aigc_core.plugins.specs import MetricSpec

OWNER = "aigc-core"

METRICS = (
    MetricSpec.model_construct(  # not validated, which takes as long as much of a listing
        name="sliced-wasserstein",
        samples="continuous",
        summary="Distance of the distributions along random directions (Rabin et al. 2012)",
        code="aigc_core.evaluation:SlicedWasserstein",
    ),
)

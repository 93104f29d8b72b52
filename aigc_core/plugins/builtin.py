"""What the core itself provides; nothing here is specific to one kind of content."""

from __future__ import annotations

from aigc_core.plugins.specs import MetricSpec

OWNER = "aigc-core"

METRICS = (
    MetricSpec.model_construct(  # not validated: that would slow down every listing
        name="sliced-wasserstein",
        samples="continuous",
        summary="Distance of the distributions along random directions (Rabin et al. 2012)",
        code="aigc_core.evaluation:SlicedWasserstein",
    ),
)

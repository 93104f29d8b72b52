"""All checks, in the order in which they run."""

from __future__ import annotations

from aigc_core.testing.checks import (
    accelerator,
    dataset,
    discriminator,
    metric,
    modality,
    networks,
    observer,
    plugin,
    recipe,
    run,
    training,
)
from aigc_core.testing.checks.check import Check

CHECKS: tuple[Check, ...] = (
    *plugin.CHECKS,
    *observer.CHECKS,
    *modality.CHECKS,
    *dataset.CHECKS,
    *recipe.CHECKS,
    *networks.CHECKS,
    *accelerator.CHECKS,
    *discriminator.CHECKS,
    *training.CHECKS,
    *run.CHECKS,
    *metric.CHECKS,
)

"""Which checks are done: each promise with each of what a plugin brings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aigc_core.testing import (
    checks_dataset,
    checks_discriminator,
    checks_metric,
    checks_modality,
    checks_networks,
    checks_observer,
    checks_plugin,
    checks_recipe,
    checks_run,
    checks_training,
    completeness,
)
from aigc_core.testing.check import Check, Kind
from aigc_core.testing.subjects import PluginSubject

CHECKS: tuple[Check, ...] = (
    *checks_plugin.CHECKS,
    *checks_observer.CHECKS,
    *checks_modality.CHECKS,
    *checks_dataset.CHECKS,
    *checks_recipe.CHECKS,
    *checks_networks.CHECKS,
    *checks_discriminator.CHECKS,
    *checks_training.CHECKS,
    *checks_run.CHECKS,
    *checks_metric.CHECKS,
)
LAST: tuple[Check, ...] = tuple(completeness.CHECKS)


@dataclass(frozen=True)
class Planned:
    """A check of one subject, to be done."""

    check: Check
    subject: Any
    """A ``PluginSubject``, ``ModalitySubject``, …, as the check's function takes."""
    label: str
    known: str | None
    """Why the subject's spec says that it fails; None where it should pass."""

    @property
    def name(self) -> str:
        """Subject and check: ``recipe points/gan: batch-of-one``."""
        return f"{self.label}: {self.check.name}"


def plan(plugin: PluginSubject) -> list[Planned]:
    """Return all checks of a plugin, the one that counts them last."""
    planned = list(_planned(CHECKS, "plugin", plugin, {}))
    for modality in plugin.modalities:
        known = modality.spec.known_failures
        planned += _planned(CHECKS, "modality", modality, known)
        for on_dataset in modality.on_datasets():
            planned += _planned(CHECKS, "modality on a dataset", on_dataset, known)
    for dataset in plugin.datasets:
        planned += _planned(CHECKS, "dataset", dataset, dataset.spec.known_failures)
    for recipe in plugin.recipes:
        planned += _planned(CHECKS, "recipe", recipe, recipe.spec.known_failures)
    for metric in plugin.metrics:
        planned += _planned(CHECKS, "metric", metric, metric.spec.known_failures)
    return [*planned, *_planned(LAST, "plugin", plugin, {})]


def _planned(
    checks: tuple[Check, ...], kind: Kind, subject: Any, known: Mapping[str, str]
) -> Iterator[Planned]:
    for check in checks:
        if check.kind == kind and check.applies(getattr(subject, "spec", None)):
            yield Planned(check, subject, subject.label, known.get(check.name))

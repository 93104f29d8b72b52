"""Promises of metrics: numbers, and the same ones each time."""

from __future__ import annotations

import math

import torch

from aigc_core.errors import PluginError
from aigc_core.interfaces import Metric
from aigc_core.testing.checks.check import Checks, fail_unless
from aigc_core.testing.results import CheckFailed
from aigc_core.testing.subjects import MANY, MetricSubject

CHECKS = Checks()


@CHECKS.metric
def compares(subject: MetricSubject) -> None:
    """``compare`` returns finite numbers by name, the same each time, and changes no sample.

    Numbers that depend on anything but the samples are not comparable.
    """
    on_dataset = subject.on_a_dataset()
    samples, modality = on_dataset.spread(2 * MANY), on_dataset.modality
    real, generated = samples[0::2], samples[1::2]
    real = real[: len(generated)]
    before = real.clone(), generated.clone()
    try:
        metric = subject.make()
    except PluginError as error:
        raise CheckFailed(str(error)) from error
    fail_unless(
        isinstance(metric, Metric),
        f"{subject.spec.code} gave a {type(metric).__name__}, not an aigc_core.Metric.",
    )
    found = dict(metric.compare(real, generated, modality))
    fail_unless(found, "compare gave no value.")
    for name, value in found.items():
        fail_unless(
            isinstance(name, str) and name,
            f"compare gave a value under the name {name!r}; names are words.",
        )
        fail_unless(
            isinstance(value, int | float) and math.isfinite(value),
            f"compare gave {name}={value!r}; it should be a finite number. Convert tensors with "
            ".item().",
        )
    fail_unless(
        torch.equal(real, before[0]) and torch.equal(generated, before[1]),
        "compare changed the samples that it was given.",
    )
    again = dict(subject.make().compare(real, generated, modality))
    fail_unless(
        again == found,
        f"compare gave {found} and then {again} for the same samples. Seed what it draws.",
    )

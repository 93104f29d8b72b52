"""Plans and runs a plugin's checks, in temporary folders instead of the user's."""

from __future__ import annotations

import shutil
import tempfile
import time
import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from aigc_core.engine import isolated_rng
from aigc_core.errors import PluginError, did_you_mean
from aigc_core.plugins import PluginHost, get_host, use_host
from aigc_core.plugins.guarded_import import NEVER_CATCH
from aigc_core.testing.checks.all import CHECKS
from aigc_core.testing.checks.check import Check, Kind
from aigc_core.testing.process.isolation import own_folders
from aigc_core.testing.results import CheckResult, describe
from aigc_core.testing.subjects import PluginSubject


@dataclass(frozen=True)
class Planned:
    """A check to be run on one subject."""

    check: Check
    subject: Any
    """A ``PluginSubject``, ``ModalitySubject``, …, as the check's function takes."""
    label: str
    known: str | None
    """The reason the subject's spec gives for a known failure; None if it should pass."""

    @property
    def name(self) -> str:
        """Subject and check: ``recipe points/gan: batch-of-one``."""
        return f"{self.label}: {self.check.name}"


def plan(plugin: PluginSubject) -> list[Planned]:
    """Return all checks of a plugin."""
    planned = list(_planned("plugin", plugin, {}))
    for modality in plugin.modalities:
        known = modality.spec.known_failures
        planned += _planned("modality", modality, known)
        for on_dataset in modality.on_datasets():
            planned += _planned("modality on a dataset", on_dataset, known)
    for dataset in plugin.datasets:
        planned += _planned("dataset", dataset, dataset.spec.known_failures)
    for recipe in plugin.recipes:
        planned += _planned("recipe", recipe, recipe.spec.known_failures)
    for metric in plugin.metrics:
        planned += _planned("metric", metric, metric.spec.known_failures)
    return planned


def _planned(kind: Kind, subject: Any, known: Mapping[str, str]) -> Iterator[Planned]:
    for check in CHECKS:
        if check.kind == kind and check.applies(getattr(subject, "spec", None)):
            yield Planned(check, subject, subject.label, known.get(check.name))


class Runner:
    """A plugin's checks and the folder they work in, which ``close`` removes."""

    def __init__(self, host: PluginHost, plugin: str) -> None:
        """Plan the checks.

        Raises:
            PluginError: the host has no such plugin; suggests the nearest name.
        """
        if host.status(plugin) is None:
            hint = did_you_mean(plugin, [status.name for status in host.statuses])
            raise PluginError(f"There is no plugin '{plugin}' to check.{hint}")
        self.host = host
        # Links are resolved: on some systems the temporary folder is one. The first check makes
        # the folder, since pytest often plans without running anything.
        folder = Path(tempfile.gettempdir()).resolve() / f"aigc-check-{uuid.uuid4().hex[:12]}"
        self._remove = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.subject = PluginSubject(host, plugin, folder)
        self.planned = plan(self.subject)
        self.subject.planned = {(item.label, item.check.name) for item in self.planned}

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove what the checks wrote."""
        self._remove()

    def run(self, item: Planned) -> CheckResult:
        """Run one check; an exception becomes its result."""
        start = time.perf_counter()
        failure, message = self.attempt(item)
        seconds = time.perf_counter() - start
        done = (item.check.name, item.label)
        if item.known is None:
            if failure is None:
                return CheckResult(*done, "passed", message, seconds)
            return CheckResult(*done, "failed", failure, seconds)
        if failure is None:
            message = (
                f"Declared as a known failure ({item.known}), but passes: remove "
                f"'{item.check.name}' from known_failures."
            )
            return CheckResult(*done, "failed", message, seconds)
        return CheckResult(*done, "known failure", f"{item.known} ({failure})", seconds)

    def attempt(self, item: Planned) -> tuple[str | None, str]:
        """Run one check; return what is wrong, or None, and its note if it passed."""
        folder = self.subject.folder
        if not folder.exists():
            folder.mkdir(mode=0o700)
        try:
            with (
                use_host(self.host),
                own_folders(folder),
                isolated_rng(torch.device("cpu"), 0),
            ):
                return None, item.check.function(item.subject) or ""
        except NEVER_CATCH:
            raise
        except BaseException as error:  # anything, as when importing a plugin
            return describe(error), ""

    def run_all(self, on_result: Callable[[CheckResult], None] | None = None) -> list[CheckResult]:
        """Run all checks in order; ``on_result`` is called with each result as it arrives."""
        results = []
        for item in self.planned:
            result = self.run(item)
            results.append(result)
            if on_result is not None:
                on_result(result)
        return results


def check_plugin(
    plugin: str, *, on_result: Callable[[CheckResult], None] | None = None
) -> list[CheckResult]:
    """Check whether a plugin keeps all its promises.

    Its specs decide what is checked: see ``docs/writing-a-plugin.md``. Works in temporary folders,
    on the CPU, without a network, and takes seconds to a minute.

    Args:
        plugin: a name that ``get_host()`` knows; inside ``tmp_plugin``, that plugin's.
        on_result: called with each result as it arrives.

    Returns:
        One result per check. A check that raises is a failure.

    Raises:
        PluginError: there is no such plugin; suggests the nearest name.
    """
    with Runner(get_host(), plugin) as runner:
        return runner.run_all(on_result)

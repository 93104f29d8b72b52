"""Promises of every plugin: it loads quickly, and what it names exists."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from aigc_core.errors import did_you_mean
from aigc_core.interfaces import ConfigModel, Dataset, Metric, Modality
from aigc_core.plugins import API_VERSION, find_installed
from aigc_core.testing.checks.check import Checks, fail_unless
from aigc_core.testing.process.importing import COMMANDS, REGISTERING
from aigc_core.testing.results import CheckFailed, describe
from aigc_core.testing.subjects import PluginSubject

CHECKS = Checks()


@CHECKS.plugin
def registers(plugin: PluginSubject) -> None:
    """The host could load the plugin, and it implements a hook.

    Without this, a plugin that does not load would pass every other check, as it brings nothing.
    """
    status = plugin.status
    fail_unless(
        status.state == "active",
        f"The host did not take the plugin ({status.state}): {(status.error or '').rstrip('.')}.",
    )
    fail_unless(
        status.hooks,
        f"{status.module} implements no hook, so the plugin brings nothing. Return specs from "
        "@hookimpl functions such as aigc_register_recipes.",
    )
    for installed in find_installed():
        if (installed.name, installed.distribution) == (plugin.name, status.distribution):
            fail_unless(
                installed.api_version,
                "Its metadata does not say which version of the plugin API it is written for. Add "
                f'to pyproject.toml: [project.entry-points."aigc.api"] {API_VERSION} = '
                f'"{status.module}"',
            )


@CHECKS.plugin
def light_import(plugin: PluginSubject) -> None:
    """Nothing that a listing, ``aigc config`` or the start of ``aigc`` needs imports torch.

    torch takes seconds to import, and every command of every user would pay for it.
    """
    for name, what, found in _loaded(plugin):
        fail_unless(
            not found["torch"],
            f"{name} ({what}) imports torch, which would take seconds on every start of aigc. "
            "Import it inside functions, or in the modules that code and build name.",
        )


@CHECKS.plugin
def quiet_import(plugin: PluginSubject) -> None:
    """Nothing that a start of ``aigc`` or a listing needs prints or changes the process.

    Standard output is the command's answer, and the current folder, signals, logging and the
    environment are the user's.
    """
    for name, what, found in _loaded(plugin):
        fail_unless(
            not found["disturbs"],
            f"{name} ({what}) {' and '.join(found['disturbs'])}. Every command of every user would "
            "meet that: do it in functions that are called when it is needed.",
        )


def _loaded(plugin: PluginSubject) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield each thing that startup and listings import or call, what it is, and what was found.

    Raises:
        CheckFailed: one of them cannot be loaded.
    """
    answers = plugin.imports
    things = plugin.light_references
    for hook in plugin.status.hooks:
        if hook in REGISTERING:
            things[hook] = "called whenever the plugin is loaded"
    if COMMANDS in plugin.status.hooks:
        things[COMMANDS] = "making its commands"
    for name, what in things.items():
        found = answers.get(name, answers[""])
        if "error" in found:
            raise CheckFailed(
                f"In a fresh process, {name} ({what}) cannot be loaded: {found['error']}"
            )
        yield name, what, found


@CHECKS.plugin
def specs_resolve(plugin: PluginSubject) -> None:
    """Everything that a spec names can be imported and is of the right kind.

    References are strings, so a misspelt one is found only when a user asks for it.
    """
    problems = []
    for where, reference, kind in _references(plugin):
        try:
            found = plugin.host.resolve(reference, plugin.name)
        except Exception as error:
            problems.append(f"{where}: {describe(error)}")
            continue
        problem = _wrong_kind(found, kind)
        if problem:
            problems.append(f"{where}: {reference} {problem}.")
    fail_unless(not problems, " ".join(problems))


def _references(plugin: PluginSubject) -> Iterator[tuple[str, str, type | None]]:
    for modality in plugin.modalities:
        yield f"{modality.label}, code", modality.spec.code, Modality
    for dataset in plugin.datasets:
        yield f"{dataset.label}, code", dataset.spec.code, Dataset
        if dataset.spec.options is not None:
            yield f"{dataset.label}, options", dataset.spec.options, ConfigModel
    for recipe in plugin.recipes:
        yield f"{recipe.label}, build", recipe.spec.build, None
        yield f"{recipe.label}, model", recipe.spec.model, ConfigModel
        yield f"{recipe.label}, trainer", recipe.spec.trainer, ConfigModel
    for name in plugin.status.metrics:
        yield f"metric {name}, code", plugin.host.metrics[name].code, Metric


def _wrong_kind(found: Any, kind: type | None) -> str | None:
    if kind is None:
        return None if callable(found) else "cannot be called"
    if not (isinstance(found, type) and issubclass(found, kind)):
        return f"is not a class derived from aigc_core.{kind.__name__}"
    if inspect.isabstract(found):
        missing = sorted(vars(found)["__abstractmethods__"])
        return f"lacks the methods {', '.join(missing)}"
    return None


@CHECKS.plugin
def known_failures(plugin: PluginSubject) -> None:
    """Every name in a spec's ``known_failures`` is a check that runs on its subject.

    A misspelt name would excuse nothing, and the old name of a renamed check would stay forever.
    """
    problems = []
    subjects: tuple[Any, ...] = (
        *plugin.modalities,
        *plugin.datasets,
        *plugin.recipes,
        *plugin.metrics,
    )
    for subject in subjects:
        own = subject.label
        valid = {n for label, n in plugin.planned if label == own or label.startswith(f"{own} on ")}
        problems += [
            f"known_failures of {own} names '{name}', which is not one of its checks."
            + did_you_mean(name, valid)
            for name in subject.spec.known_failures
            if name not in valid
        ]
    fail_unless(not problems, " ".join(problems))

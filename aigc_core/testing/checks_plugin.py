"""Promises of every plugin: it loads, quickly, and what it names is there."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from aigc_core.errors import did_you_mean
from aigc_core.interfaces import ConfigModel, Dataset, Metric, Modality, SampleSpec
from aigc_core.runs import DatasetFacts, Run, create_run
from aigc_core.testing import child
from aigc_core.testing.check import Checks, fail_unless
from aigc_core.testing.implied import known_failures as declared_known_failures
from aigc_core.testing.results import CheckFailed, describe
from aigc_core.testing.subjects import PluginSubject

CHECKS = Checks()


@CHECKS.plugin
def registers(plugin: PluginSubject) -> None:
    """The host could load the plugin, and it does something.

    Without this, a plugin that does not load would pass every other check, having nothing.
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


@CHECKS.plugin
def light_import(plugin: PluginSubject) -> None:
    """Nothing that a listing, ``aigc config`` or the start of ``aigc`` needs imports torch.

    It takes seconds to import, and every command of every user would pay for it.
    """
    entry = child.entry_module(plugin.host, plugin.status)
    fail_unless(
        entry,
        f"The plugin was registered as an object of {plugin.status.module}, so there is no module "
        "that another process could import. Put its hooks into a module, as the entry point of an "
        "installed plugin names one.",
    )
    references = {str(entry): "the plugin's own module"} | _light_references(plugin)
    answers = child.ask(
        "imports",
        plugin.folder / "imports",
        references=list(references),
        plugins=child.describe_host(plugin.host, plugin.name),
    )
    references["aigc_extend_cli"] = "making its commands"
    for reference, what in references.items():
        found = answers.get(reference, answers[""])
        fail_unless(
            "error" not in found,
            f"In a fresh process, {reference} ({what}) cannot be loaded: {found.get('error')}",
        )
        fail_unless(
            not found.get("torch"),
            f"{reference} ({what}) imports torch, which would take seconds on every start of aigc. "
            "Import it inside functions, or in the modules that code and build name.",
        )


def _light_references(plugin: PluginSubject) -> dict[str, str]:
    found: dict[str, str] = {}
    for recipe in plugin.recipes:
        found.setdefault(recipe.spec.model, f"model of the {recipe.label}")
        found.setdefault(recipe.spec.trainer, f"trainer of the {recipe.label}")
    for dataset in plugin.datasets:
        if dataset.spec.options is not None:
            found.setdefault(dataset.spec.options, f"options of the {dataset.label}")
    return found


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
    """Every name in a spec's ``known_failures`` is a check that its spec implies.

    A misspelt name would excuse nothing, and one of a check that was renamed would stay for ever.
    """
    problems = []
    for owner, name, valid in declared_known_failures(plugin.host, plugin.name):
        if name not in valid:
            problems.append(
                f"known_failures of {owner} names '{name}', which is not one of its checks."
                + did_you_mean(name, valid)
            )
    fail_unless(not problems, " ".join(problems))


@CHECKS.plugin
def observers_run(plugin: PluginSubject) -> None:
    """The plugin's observers take what they are told without raising.

    In a training, one that raises is switched off with a warning, and is then of no use.
    """
    run = _made_up_run(plugin)
    preview, checkpoint = run.samples / "step-000001.txt", run.checkpoints / "step-000001"
    preview.write_text("a sample\n", encoding="utf-8")
    checkpoint.mkdir()
    metrics = {"loss/made-up": 1.0, "epoch": 0.1, "samples_per_second": 10.0}
    calls: list[tuple[str, dict[str, Any]]] = [
        ("aigc_run_started", {"run": run, "config": run.config, "start_step": 0}),
        ("aigc_metrics_logged", {"run": run, "step": 1, "metrics": metrics}),
        ("aigc_checkpoint_saved", {"run": run, "step": 1, "path": checkpoint}),
        ("aigc_samples_drawn", {"run": run, "step": 1, "preview": preview}),
        ("aigc_run_finished", {"run": run, "step": 1, "status": "completed"}),
    ]
    own = plugin.host.manager.get_plugin(plugin.name)
    for hook, arguments in calls:
        for implementation in getattr(plugin.host.manager.hook, hook).get_hookimpls():
            if implementation.plugin is not own:
                continue
            wanted = (*implementation.argnames, *implementation.kwargnames)
            try:
                implementation.function(**{a: arguments[a] for a in wanted if a in arguments})
            except Exception as error:
                raise CheckFailed(f"{hook} raised {describe(error)}") from error


def _made_up_run(plugin: PluginSubject) -> Run:
    engine = {"steps": 1, "batch_size": 1}
    config = {"schema_version": 1, "recipe": "made-up/none", "preset": None}
    sections: dict[str, Any] = {"dataset": {"name": "made-up"}, "model": {}, "trainer": {}}
    return create_run(
        plugin.folder / "observed" / "run",
        config=config | sections | {"engine": engine},
        dataset=DatasetFacts(spec=SampleSpec(shape=(1,), dtype="uint8"), count=1, digest="0"),
        environment={},
    )

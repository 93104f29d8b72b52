"""Where a run comes from: its data, the plugins it needs, and the machine it ran on."""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from aigc_core._version import __version__
from aigc_core.api.blueprint import Blueprint, HeldOut
from aigc_core.engine import choose_device
from aigc_core.engine.device import choose
from aigc_core.errors import PluginError, RunError, shown
from aigc_core.interfaces import SampleStore
from aigc_core.plugins import PluginHost
from aigc_core.runs import DatasetFacts, Run
from aigc_core.runs.digest import legacy_digest, text_digest
from aigc_core.runs.facts import array_difference, spec_difference
from aigc_core.storage import array_digests

_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")  # PEP 508


def describe_data(
    store: SampleStore, held_out: HeldOut | None = None, like: DatasetFacts | None = None
) -> DatasetFacts:
    """Return the facts that a run keeps about its data, with a digest of every array.

    Args:
        store: the training data.
        held_out: the data that validations measure on.
        like: facts to compare these with. If they have only the older digest of the samples (runs
            of version 0.1), that is computed too.
    """
    old = like is not None and not like.digests
    return DatasetFacts(
        spec=store.spec,
        count=len(store),
        label_names=store.label_names,
        columns=dict(store.columns),
        digest=legacy_digest(store.arrays["samples"]) if old else None,
        digests=array_digests(store.arrays),
        held_out={held_out.split: _held_out_digests(held_out.store)} if held_out else {},
    )


def split_difference(facts: DatasetFacts, store: SampleStore, split: str) -> str | None:
    """Say how a split differs from the run's data, as far as the run recorded it, or None."""
    if split == "train":
        return facts.difference(describe_data(store, like=facts))
    found = spec_difference(facts.spec, store.spec)
    if found is not None:
        return f"in the split '{split}', {found}"
    if "labels" in store.arrays and store.label_names != facts.label_names:
        return f"the classes of the split '{split}' have other names, or another order"
    if split not in facts.held_out:
        return None
    found = array_difference(facts.held_out[split], _held_out_digests(store))
    return None if found is None else f"in the split '{split}', {found}"


def _held_out_digests(store: SampleStore) -> dict[str, str]:
    names = {"label_names": text_digest(store.label_names)} if store.label_names else {}
    return array_digests(store.arrays) | names


def describe_environment(blueprint: Blueprint) -> dict[str, Any]:
    """Return versions and facts about the machine as JSON data."""
    host, config = blueprint.host, blueprint.config.engine
    device = choose_device(config.device)
    return {
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "aigc_core": __version__,
        "plugins": {
            s.distribution or s.name: s.version for s in host.statuses if s.state == "active"
        },
        "needs": _needed_plugins(blueprint),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "device": str(device),
        "precision": choose(config, (), device).precision,
        "threads": torch.get_num_threads(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "commit": _commit(),
        "command": sys.argv,
    }


def environment_changes(started: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the changes that can affect the rounding of results."""
    needed = {need["distribution"] or need["plugin"] for need in now["needs"].values()}
    plugins = {name: version for name, version in now["plugins"].items() if name in needed}
    before, after = dict(started), {**now, **plugins}
    if isinstance(started.get("plugins"), dict):
        before |= started["plugins"]
    names = ["torch", "device", "precision", "threads", "cpu", "aigc_core", *plugins]
    return [
        f"{name} was {shown(before[name])} and is {shown(after[name])}"
        for name in names
        if name in before and before[name] != after[name]
    ]


def _needed_plugins(blueprint: Blueprint) -> dict[str, Any]:
    """Return which plugins provide the run's recipe, modality and dataset."""
    host = blueprint.host
    owners = {
        "recipe": host.owner("recipe", blueprint.recipe.name),
        "modality": host.owner("modality", blueprint.modality.name),
        "dataset": host.owner("dataset", blueprint.dataset.name),
    }
    needed = {}
    for what, name in owners.items():
        status = host.status(name)
        needed[what] = {"plugin": name, "distribution": status and status.distribution}
    return needed


def require_plugins(host: PluginHost, run: Run) -> None:
    """Check that the run's recipe, modality and dataset are available.

    Raises:
        PluginError: one is not; the message names the plugin that provided it and how to get it
            back. If ``environment.json`` does not say, nothing is raised: looking up the name will.
    """
    dataset = run.config.get("dataset")
    names = {"recipe": run.recipe}
    if isinstance(dataset, dict) and isinstance(dataset.get("name"), str):
        names["dataset"] = dataset["name"]
    recipe = host.recipes.get(run.recipe)
    if recipe is None or not recipe.any_modality:
        names["modality"] = run.recipe.split("/")[0]
    tables: dict[str, Mapping[str, object]] = {
        "recipe": host.recipes,
        "modality": host.modalities,
        "dataset": host.datasets,
    }
    try:
        needs = dict(run.environment.get("needs") or {})
    except (RunError, TypeError, ValueError):
        return
    for what, name in names.items():
        plugin = needs.get(what)
        if name in tables[what] or not isinstance(plugin, dict):
            continue
        needed = f"{run.path} needs the {what} '{name}'"
        distribution = plugin.get("distribution")
        there = [s for s in host.statuses if s.distribution == distribution]
        for status in there:
            if status.state != "active":
                raise PluginError(
                    f"{needed} of the plugin '{status.name}', which is not active. "
                    f"{status.what_to_do}"
                )
        # A run's folder may come from anyone, and users will type the command shown here.
        known = isinstance(distribution, str) and _DISTRIBUTION.fullmatch(distribution)
        if known and not there:
            raise PluginError(
                f"{needed} of the plugin {distribution}, which is not installed. Install it with: "
                f"aigc plugins install {distribution}"
            )


def _commit() -> str | None:
    """Return the commit of the core's own checkout, if it runs from one."""
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return None
    command = ["git", "-C", os.fspath(folder), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None

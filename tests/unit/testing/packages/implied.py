"""Which checks a plugin's declarations imply: a table to read, and to hold the plan against.

It knows nothing of the functions that do the checking, so a check that is lost on the way from
there to a plan, for whatever reason, is missed.
"""

from __future__ import annotations

from aigc_core.plugins import DatasetSpec, PluginHost, RecipeSpec

PLUGIN = (
    "registers",
    "light-import",
    "quiet-import",
    "specs-resolve",
    "known-failures",
    "observers-run",
)
MODALITY = ("embedded-dataset",)
MODALITY_ON_A_DATASET = ("model-form", "stored-form", "save-and-read", "preview-opens")
"""For each embedded dataset of the modality that the same plugin brings."""
DATASET_WITH_OPTIONS = ("options-config",)
DATASET_EMBEDDED = ("loads", "fits-modality", "writes-only-in-cache")
DATASET_NOT_EMBEDDED = ("says-ways-out",)
RECIPE = (
    "config",
    "builds-quickly",
    "declared-capabilities",
    "generator-is-saved",
    "sample",
    "same-seed-same-samples",
    "sampling-leaves-no-trace",
    "finite-gradients",
    "phases-change-only-their-networks",
    "same-seed-same-loss",
    "resume",
    "strict-reload",
    "batch-of-one",
    "accelerator",
    "loss-falls",
    "trains",
    "spawned-process",
    "writes-only-in-its-folder",
)
METRIC = ("compares",)
CAPABILITY = {"adversarial": ("discriminator-logits",), "bf16": ("bf16-finite",)}


def implied_checks(host: PluginHost, plugin: str) -> list[tuple[str, str]]:
    """Return ``(subject, check)`` of every check that what a plugin declares implies.

    Raises:
        KeyError: a capability that this table does not know.
    """
    status = host.status(plugin)
    pairs = [(f"plugin {plugin}", name) for name in PLUGIN]
    embedded = [
        spec
        for name in status.datasets
        if (spec := host.datasets[name]).embedded and spec.modality in status.modalities
    ]
    for modality in status.modalities:
        pairs += [(f"modality {modality}", name) for name in MODALITY]
        for spec in embedded:
            if spec.modality == modality:
                subject = f"modality {modality} on {spec.name}"
                pairs += [(subject, name) for name in MODALITY_ON_A_DATASET]
    for name in status.datasets:
        pairs += [(f"dataset {name}", check) for check in dataset_checks(host.datasets[name])]
    for name in status.recipes:
        pairs += [(f"recipe {name}", check) for check in recipe_checks(host.recipes[name])]
    for name in status.metrics:
        pairs += [(f"metric {name}", check) for check in METRIC]
    return pairs


def dataset_checks(spec: DatasetSpec) -> tuple[str, ...]:
    """Return the names of the checks that a dataset's spec implies."""
    options = DATASET_WITH_OPTIONS if spec.options is not None else ()
    return options + (DATASET_EMBEDDED if spec.embedded else DATASET_NOT_EMBEDDED)


def recipe_checks(spec: RecipeSpec) -> tuple[str, ...]:
    """Return the names of the checks that a recipe's spec implies."""
    return RECIPE + tuple(c for capability in spec.capabilities for c in CAPABILITY[capability])

"""Every recipe's first losses are the recorded ones: what changes a training is seen here.

Each recipe is trained for a few steps of its preset ``tiny``, on embedded data, on the CPU, in fp32
and from one seed; ``golden_losses.json`` holds what came out. A loss, an initialisation, the order
of the data, an optimiser or a schedule that changes moves the numbers. Where that is meant, or a
recipe is new or gone, write them anew, and look at the difference before committing it::

    python tests/integration/test_golden_losses.py --record
"""

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch

from aigc_core import train
from aigc_core.plugins import get_host

GOLDEN = Path(__file__).with_name("golden_losses.json")
TEXT = Path(__file__).parents[2] / "LICENSE"  # English that is the same everywhere, for ever
STEPS = 8
COMPARED = (1, 2, 3, 5, 8)
RELATIVE, ABSOLUTE = 2e-3, 2e-5
"""Threads, and processors with other instructions, make 5e-6 (relative) as a rule, and up to 5e-4
where an activation falls on the other side of zero."""

COARSER = {"audio/prior": 2e-2}
"""Its tokens are nearest codes, and one of them may be another where two are nearly as near."""

FINER = {"audio/wavenet": 2e-5, "text/gpt": 2e-5}
"""Nothing of that kind moves these by more than 1e-6, and in few steps they do not learn much."""

Numbers = dict[str, dict[str, float]]
"""Metric to its value at each compared step: ``{"loss/generator": {"1": 0.69}}``."""

ALIKE: dict[str, Any] = {
    "engine.steps": STEPS,
    "engine.log_every": 1,
    "engine.sample_count": 1,
    "engine.device": "cpu",
    "engine.precision": "fp32",
    "engine.seed": 0,
}
"""Settings of all trainings, also of those that a recipe builds on."""

SETTINGS: dict[str, dict[str, Any]] = {
    "image/vae": {"trainer.optimizer.warmup_steps": 2},  # to see the schedule after it, too
    "image/flow": {"trainer.optimizer.warmup_steps": 2},
    "image/vqvae": {"trainer.optimizer.warmup_steps": 2},
    "image/prior": {"trainer.optimizer.warmup_steps": 2},
    "image/latent-flow": {"trainer.optimizer.warmup_steps": 2},
    "audio/vqvae": {"trainer.optimizer.warmup_steps": 2},
    "audio/prior": {"trainer.optimizer.warmup_steps": 2},
    "audio/flow": {"trainer.optimizer.warmup_steps": 2},
    "audio/wavenet": {"trainer.optimizer.warmup_steps": 2},
    "point-cloud/flow": {"trainer.optimizer.warmup_steps": 2},
    "text/gpt": {"trainer.optimizer.warmup_steps": 2},
    "video/flow": {"trainer.optimizer.warmup_steps": 2},
}
"""What a recipe's preset is changed by."""

CONDITIONAL = {"model.conditional": True}
VARIANTS: dict[str, dict[str, Any]] = {
    "image/dcgan conditional": CONDITIONAL,
    "image/dcgan auxiliary": {**CONDITIONAL, "model.discriminator_labels": "auxiliary"},
    "image/vae conditional": CONDITIONAL,
    "image/flow unconditional": {"model.condition": "none"},
    "image/flow cosine": {"trainer.path": "cosine", "trainer.prediction": "data"},
    "image/vqvae gradient": {"trainer.codebook": "gradient", "trainer.reconstruction": "absolute"},
    "image/prior conditional": CONDITIONAL,
    "audio/prior conditional": CONDITIONAL,
    "audio/wavegan conditional": CONDITIONAL,
    "audio/specgan conditional": CONDITIONAL,
    "audio/wavenet conditional": CONDITIONAL,
    "text/gpt conditional": CONDITIONAL,
    "text/masked conditional": CONDITIONAL,
    "text/gan conditional": CONDITIONAL,
    "video/flow unconditional": {"model.condition": "none", "model.first_frame": False},
    "video/gan unconditional": {"model.condition": "none"},
}
"""What is trained besides each recipe as it is: the recipe and a word, to further settings."""


def recipe_of(case: str) -> str:
    return case.split()[0]


def measure(case: str, folder: Path, **changes: Any) -> Numbers:
    """Train a case in a folder; return its losses, gradient norms and learning rates."""
    recipe = recipe_of(case)
    overrides = ALIKE | SETTINGS.get(recipe, {}) | VARIANTS.get(case, {})
    if recipe.startswith("text/"):  # the preset's pydocs is another text in each Python
        overrides |= {"dataset.name": "text-files", "dataset.root": str(write_text(folder))}
    parents = {
        name: train(parent.recipes[0], preset="tiny", overrides=ALIKE, out=folder / name)
        for name, parent in get_host().recipes[recipe].parents.items()
    }
    run = train(
        recipe, preset="tiny", overrides=overrides | changes, out=folder / "run", parents=parents
    )
    lines = {line["step"]: line for line in run.metrics.read()}
    kinds = ("loss/", "gradient_norm/", "learning_rate/")
    numbers: Numbers = {}
    for step in COMPARED:
        for name, value in lines[step].items():
            if name.startswith(kinds):
                numbers.setdefault(name, {})[str(step)] = value
    return numbers


def write_text(folder: Path) -> Path:
    """Write a text of two classes, which only a conditional network is reported."""
    text = TEXT.read_text(encoding="utf-8")
    middle = len(text) // 2
    for name, part in (("first", text[:middle]), ("second", text[middle:])):
        place = folder / "text" / name
        place.mkdir(parents=True)
        (place / "part.txt").write_text(part, encoding="utf-8", newline="\n")
    return folder / "text"


def golden() -> dict[str, Numbers]:
    """Return the recorded numbers by case."""
    if not GOLDEN.exists():
        return {}
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


def differences(case: str, found: Numbers, expected: Numbers) -> list[str]:
    """Return a line for each number that is not the recorded one."""
    for name in found.keys() | expected.keys():
        logged, recorded = found.get(name, {}).keys(), expected.get(name, {}).keys()
        if logged != recorded:
            return [f"{name}: logged at steps {[*logged]}, recorded at {[*recorded]}"]
    relative = (FINER | COARSER).get(recipe_of(case), RELATIVE)

    def same(name: str, value: float, recorded: float) -> bool:
        if name.startswith("learning_rate/"):  # computed in Python
            return value == pytest.approx(recorded, rel=1e-6, abs=0)
        return value == pytest.approx(recorded, rel=relative, abs=ABSOLUTE)

    return [
        f"{name} at step {step}: {found[name][step]}, recorded {value}"
        for name, values in expected.items()
        for step, value in values.items()
        if not same(name, found[name][step], value)
    ]


@pytest.mark.parametrize("case", golden())
def test_losses_are_the_recorded_ones(case: str, tmp_path: Path) -> None:
    found = differences(case, measure(case, tmp_path), golden()[case])
    assert not found, "\n".join([f"{case} trains differently:", *found])


def test_every_installed_recipe_is_recorded_and_no_other() -> None:
    expected = {*get_host().recipes, *VARIANTS}
    assert set(golden()) == expected, f"python {Path(__file__).name} --record"


def test_every_recipe_that_can_be_conditional_is_recorded_so() -> None:
    host = get_host()
    for name, recipe in host.recipes.items():
        fields = host.resolve(recipe.model, host.owner("recipe", name)).model_fields
        if "conditional" in fields:
            assert f"{name} conditional" in golden()


@pytest.mark.parametrize(
    "change",
    [
        {"engine.seed": 1},
        {"trainer.optimizer.lr": 1.1e-3},
        {"trainer.optimizer.betas": [0.9, 0.9]},
        {"trainer.optimizer.schedule": "linear"},
        {"trainer.beta": 1.01},
        {"model.width": 9},
        {"engine.batch_size": 15},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_training_is_noticed(change: dict[str, Any], tmp_path: Path) -> None:
    """What is compared can fail: each of these is a mistake that somebody may make."""
    found = measure("image/vae", tmp_path, **change)
    assert differences("image/vae", found, golden()["image/vae"])


def record() -> None:
    """Write ``golden_losses.json`` anew."""
    torch.set_num_threads(1)
    numbers = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AIGC_CACHE_DIR"] = folder
        for case in sorted([*get_host().recipes, *VARIANTS]):
            place = Path(folder) / case.replace("/", "-").replace(" ", "-")
            place.mkdir()
            numbers[case] = measure(case, place)
            print(case, flush=True)
    rounded = {
        case: {
            name: {step: float(f"{value:.7g}") for step, value in values.items()}
            for name, values in metrics.items()
        }
        for case, metrics in numbers.items()
    }
    GOLDEN.write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", required=True, help="write them anew")
    parser.parse_args()
    record()

"""Every recipe's first losses are the recorded ones: what changes a training is seen here.

Each recipe is trained for a few steps of its preset ``tiny``, on embedded data, on the CPU, in fp32
and from one seed; ``golden_losses.json`` holds what came out. A loss, an initialisation, the order
of the data, an optimiser or a schedule that changes moves the numbers. Where that is meant, or a
recipe is new or gone, write them anew, and look at the difference before it is committed::

    python tests/integration/test_golden_losses.py --record
"""

from pathlib import Path
from typing import Any

from aigc_core import train

GOLDEN = Path(__file__).with_name("golden_losses.json")
TEXT = Path(__file__).parents[2] / "LICENSE"  # English that is the same everywhere, for ever
STEPS = 8
COMPARED = (1, 2, 3, 5, 8)

Numbers = dict[str, dict[str, float]]
"""Metric to its value at each compared step, ``{"loss/generator": {"1": 0.69}}``."""

CONDITIONAL = {"model.conditional": True}
VARIANTS: dict[str, dict[str, Any]] = {
    "image/dcgan conditional": CONDITIONAL,
    "image/dcgan auxiliary": {**CONDITIONAL, "model.discriminator_labels": "auxiliary"},
    "image/vae conditional": CONDITIONAL,
    "audio/wavegan conditional": CONDITIONAL,
    "audio/specgan conditional": CONDITIONAL,
    "audio/wavenet conditional": CONDITIONAL,
}
"""What is trained besides each recipe as it is: name to settings; the recipe stands first."""


def recipe_of(case: str) -> str:
    return case.split()[0]


def measure(case: str, folder: Path, **changes: Any) -> Numbers:
    """Train a case in a new folder; return its losses and learning rates."""
    recipe = recipe_of(case)
    overrides: dict[str, Any] = {
        "engine.steps": STEPS,
        "engine.log_every": 1,
        "engine.sample_count": 1,
        "engine.device": "cpu",
        "engine.precision": "fp32",
        "engine.seed": 0,
    }
    overrides |= VARIANTS.get(case, {})
    if recipe.startswith("text/"):  # pydocs, of the presets, is another text in each Python
        text = folder / "text.txt"
        folder.mkdir(parents=True, exist_ok=True)
        text.write_text(TEXT.read_text(encoding="utf-8"), encoding="utf-8", newline="\n")
        overrides |= {"dataset.name": "text-files", "dataset.root": str(text)}
    run = train(recipe, preset="tiny", overrides=overrides | changes, out=folder / "run")
    lines = {line["step"]: line for line in run.metrics.read()}
    names = [name for name in lines[1] if name.startswith(("loss/", "learning_rate/"))]
    return {name: {str(step): lines[step][name] for step in COMPARED} for name in names}

"""The model card: what a folder for others says of the model in it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from aigc_core.api.sampler import Sampler
from aigc_core.report.facts import RunFacts
from aigc_core.runs.manifest import weights_digest
from aigc_core.strict_yaml import dump_yaml


def model_card(sampler: Sampler, pictures: Sequence[str]) -> str:
    """Return a ``README.md`` with a header in YAML, as hubs read it.

    Args:
        sampler: of the run.
        pictures: files in the folder that show samples.
    """
    run, blueprint = sampler.run, sampler.blueprint
    facts = RunFacts(run, run.path.name)
    host, dataset = blueprint.host, blueprint.dataset
    status = host.status(host.owner("recipe", run.recipe))
    plugin = (status and status.distribution) or ""
    header = {
        "library_name": "aigc",
        "tags": ["aigc", run.recipe, blueprint.modality.name],
        "datasets": [dataset.name],
    }
    title = f"{run.recipe}, {sampler.step:,} steps on {dataset.name}"
    digest = weights_digest(run.checkpoints, sampler.step)
    about = {
        "recipe": f"{run.recipe}: {blueprint.recipe.summary}",
        "data": f"{dataset.name}: {dataset.summary}",
        "licence of the data": dataset.licence or "not known",
        "samples trained on": f"{sampler.facts.count:,}",
        **{name: text for name, text in facts.summary.items() if name not in ("recipe", "data")},
        "step of these weights": f"{sampler.step:,}",
        "weights": f"{_parameters(sampler):,} parameters of the generator, digest `{digest}`",
    }
    lines = [
        "---", dump_yaml(header).strip(), "---", "", f"# {title}", "",
        "| | |", "|---|---|",
        *(f"| {name} | {_cell(text)} |" for name, text in about.items()), "",
    ]  # fmt: skip
    if pictures:
        lines += ["## Samples", "", "Made by AI, with seed 0:", ""]
        lines += [_shown(path) for path in pictures]
        lines += [""]
    lines += [
        "## Use", "", "```bash",
        f"pip install aigc-core {plugin}".rstrip(),
        "aigc import THIS-FOLDER --out model",
        f"aigc generate model --count 16 --seed 0{_needed(sampler)}",
        "```", "",
        "In Python:", "", "```python",
        "import aigc_core", "",
        'run = aigc_core.import_run("THIS-FOLDER", out="model")',
        "samples = aigc_core.generate(run, count=16, seed=0)",
        "generator = aigc_core.load_generator(run)  # an nn.Module",
        "```", "",
    ]  # fmt: skip
    scores = [
        f"| {name} | {s.values[-1]:.6g} | {s.steps[-1]:,} |" for name, s in facts.scores.items()
    ]
    if scores:
        lines += [
            "## Scores on held-out data",
            "",
            "| | value | step |",
            "|---|---|---|",
            *scores,
            "",
        ]
    if facts.command:
        command = shlex.join(map(_without_place, facts.command))
        lines += ["## How it was trained", "", "```bash", command, "```", ""]
    given = {
        key: setting
        for key, setting in facts.settings.items()
        if setting.origin not in ("default", "") and key != "dataset.root"
    }
    if given:
        lines += ["| setting | value | from |", "|---|---|---|"]
        lines += [f"| {key} | {_cell(str(s.value))} | {s.origin} |" for key, s in given.items()]
        lines += [""]
    machine = {n: v for n, v in facts.environment.items() if n not in ("command", "commit")}
    lines += ["| machine | |", "|---|---|"]
    lines += [f"| {name} | {_cell(str(value))} |" for name, value in machine.items()]
    return "\n".join([*lines, ""])


def _parameters(sampler: Sampler) -> int:
    return sum(parameter.numel() for parameter in sampler.generator.parameters())


def _needed(sampler: Sampler) -> str:
    """Return the options without which nothing is drawn."""
    conditions = sampler.validator.describe()["conditions"].values()
    return "".join(f" {found['option']}" for found in conditions if found["required"])


def _without_place(word: str) -> str:
    """Return a word of a command; of a path that leads through the machine, its last part."""
    name, equals, value = word.rpartition("=")
    if not re.match(r"[/~]|[A-Za-z]:[\\/]", value):
        return word
    return name + equals + re.split(r"[\\/]", value.rstrip("\\/"))[-1]


def _shown(path: str) -> str:
    if path.endswith(".txt"):
        return f"[{path}]({path})"
    return f"![samples]({path})"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")

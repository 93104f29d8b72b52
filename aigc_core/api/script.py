"""One readable Python file that draws from exported weights: no run, no configuration files."""

from __future__ import annotations

import json
import pprint

from aigc_core._version import __version__
from aigc_core.api.sampler import Sampler
from aigc_core.errors import ConfigError
from aigc_core.interfaces import ConfigModel

_TEMPLATE = '''"""Draw samples from {recipe}, step {step}, exported by aigc {version}.

    pip install {packages}
    python generate.py --count 16 --seed 0 --out samples

model.safetensors holds the generator's weights, and dataset.json the facts of the data that it
learned from. The samples are those of `aigc generate` with the same count and seed.
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from aigc_core import Column, RecipeContext, RunFacts, SampleSpec
from aigc_core.engine import draw_chunks
{imports}

HERE = Path(__file__).parent
MODEL = {model}
TRAINER = {trainer}


def load_generator():
    """Return the generator, an nn.Module, and the modality of each of the data's columns."""
    facts = json.loads((HERE / "dataset.json").read_text(encoding="utf-8"))
    modality = {modality}(SampleSpec.model_validate(facts["spec"]))
    columns = {{
        name: MODALITIES[column["modality"]](Column.model_validate(column).spec)
        for name, column in facts["columns"].items()
    }}
    context = RecipeContext(
        {model_class}.model_validate(MODEL),
        {trainer_class}.model_validate(TRAINER),
        modality.sample_shape,
        modality.spec,
        len(facts["label_names"]),
        columns,
        RunFacts(total_steps={total_steps}, batch_size={batch_size}, accumulate={accumulate},
                 samples=facts["count"], training=False),
        {{}},
        modality,
    )
    generator = {build}(context).generator()
    generator.load_state_dict(load_file(HERE / "model.safetensors"))
    return generator.eval(), {{"samples": modality, **columns}}


MODALITIES = {modalities}


def main():
    parser = argparse.ArgumentParser(description="Draw samples.")
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("samples"))
    asked = parser.parse_args()
    generator, modalities = load_generator()
    asked.out.mkdir(parents=True, exist_ok=True)
    start, device = 0, torch.device("cpu")
    for drawn in draw_chunks(generator, asked.count, seed=asked.seed, device=device):
        for column, samples in drawn.items():
            modality = modalities[column]
            stored = modality.to_stored(samples)
            modality.save(stored, asked.out, format=modality.formats[0], start=start)
        start += len(samples)


if __name__ == "__main__":
    main()
'''


def script(sampler: Sampler) -> str:
    """Return the text of ``generate.py`` for a run.

    Raises:
        ConfigError: the run is made from other runs, or draws nothing without being given
            something.
    """
    run, blueprint = sampler.run, sampler.blueprint
    config, recipe, host = blueprint.config, blueprint.recipe, blueprint.host
    if config.parents:
        raise ConfigError(
            f"{run.path} is made from other runs, which one script cannot hold. Export it with: "
            "--format hf-folder"
        )
    required = [name for name, found in sampler.generator.conditions.items() if found.required]
    if required:
        raise ConfigError(
            f"{run.recipe} draws nothing without '{required[0]}', which this script cannot give. "
            "Export it with: --format hf-folder"
        )
    names = {blueprint.modality.name: blueprint.modality.code}
    for column in sampler.facts.columns.values():
        names[column.modality] = host.modality(column.modality).code
    codes = [recipe.build, *map(_code_of, (config.model, config.trainer)), *names.values()]
    owners = [host.owner("recipe", recipe.name), *(host.owner("modality", n) for n in names)]
    found = [status for status in map(host.status, owners) if status and status.distribution]
    packages = dict.fromkeys(["aigc-core", *(str(s.distribution) for s in found), "safetensors"])
    modalities = ", ".join(f"{name!r}: {_name(code)}" for name, code in names.items())
    return _TEMPLATE.format(
        recipe=run.recipe,
        step=sampler.step,
        version=__version__,
        packages=" ".join(packages),
        imports="\n".join(sorted({f"from {_module(c)} import {_name(c)}" for c in codes})),
        model=_literal(config.model),
        trainer=_literal(config.trainer),
        model_class=type(config.model).__name__,
        trainer_class=type(config.trainer).__name__,
        modality=_name(blueprint.modality.code),
        modalities=f"{{{modalities}}}",
        build=_name(recipe.build),
        total_steps=run.total_steps,
        batch_size=config.engine.batch_size,
        accumulate=config.engine.accumulate,
    )


def _code_of(config: ConfigModel) -> str:
    return f"{type(config).__module__}:{type(config).__qualname__}"


def _module(code: str) -> str:
    return code.partition(":")[0]


def _name(code: str) -> str:
    return code.partition(":")[2]


def _literal(config: ConfigModel) -> str:
    """Return a configuration as Python."""
    return pprint.pformat(json.loads(config.model_dump_json()), width=90, sort_dicts=False)

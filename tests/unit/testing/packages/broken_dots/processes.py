"""The dots plugin, with weights that depend on the process, and a build that leaves a note."""

import os
from pathlib import Path

import dots
from dots import aigc_register_datasets, aigc_register_modalities

from aigc_core import RecipeContext, RecipeSpec, hookimpl

__all__ = ["aigc_register_datasets", "aigc_register_modalities"]


@hookimpl
def aigc_register_recipes() -> list[RecipeSpec]:
    gan, moments = dots.aigc_register_recipes()
    return [gan.model_copy(update={"build": "broken_dots.processes:build"}), moments]


def build(context: RecipeContext) -> object:
    import torch
    from dots.networks import build_gan

    Path("built-by.txt").write_text(str(os.getpid()), encoding="utf-8")
    trainer = build_gan(context)
    with torch.no_grad():
        trainer.generator().layers[0].bias.fill_(os.getpid() % 1000 / 1000)
    return trainer

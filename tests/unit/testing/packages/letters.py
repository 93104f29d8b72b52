"""A plugin of another kind: words of four letters, which are whole numbers."""

import types

from aigc_core import ConfigModel, DatasetSpec, ModalitySpec, OptimizerConfig, RecipeSpec, hookimpl


class Net(ConfigModel):
    width: int = 8


class Likelihood(ConfigModel):
    optimizer: OptimizerConfig = OptimizerConfig(lr=0.01)


@hookimpl
def aigc_register_modalities() -> list[ModalitySpec]:
    return [ModalitySpec(name="words", summary="", code="letters_code:Words")]


@hookimpl
def aigc_register_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="names", modality="words", summary="", code="letters_code:Names", embedded=True
        )
    ]


@hookimpl
def aigc_register_recipes() -> list[RecipeSpec]:
    return [
        RecipeSpec(
            name="words/bigrams",
            summary="",
            build="letters_code:build",
            model="letters:Net",
            trainer="letters:Likelihood",
            dataset="names",
            defaults={"engine": {"steps": 5, "batch_size": 8}},
            capabilities=("bf16",),
        )
    ]


def with_(build: str) -> types.ModuleType:
    """The plugin with words without bounds, and another function that builds its recipe."""
    module = types.ModuleType("letters_variant")
    modality, recipe = aigc_register_modalities()[0], aigc_register_recipes()[0]
    unbounded = modality.model_copy(update={"code": "letters_code:UnboundedWords"})
    changed = recipe.model_copy(update={"build": f"letters_code:{build}"})
    module.aigc_register_modalities = hookimpl(lambda: [unbounded])
    module.aigc_register_recipes = hookimpl(lambda: [changed])
    module.aigc_register_datasets = aigc_register_datasets
    return module

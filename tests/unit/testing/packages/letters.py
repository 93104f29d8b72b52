"""A plugin of another kind: words of four letters, which are whole numbers."""

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

"""Several kinds of content by one model. Importing this only declares specs."""

from aigc_core import DatasetSpec, RecipeSpec, hookimpl

__version__ = "0.1.0"


@hookimpl
def aigc_register_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="spoken-digits",
            modality="image",
            columns={"sound": "audio", "text": "text"},
            summary="Digits written by hand, spoken, and as words: MNIST and FSDD, paired by class",
            code="aigc_joint.datasets.digits:SpokenDigits",
            options="aigc_joint.options:SpokenDigitsOptions",
            splits=("train", "test"),
            licence="CC BY-SA 4.0 (sounds), MNIST's (pictures)",
            homepage="https://github.com/Jakobovski/free-spoken-digit-dataset",
        ),
        DatasetSpec(
            name="toned-digits",
            modality="image",
            columns={"sound": "audio", "text": "text"},
            summary="Digits written by hand, as notes, and as words: no download",
            code="aigc_joint.datasets.digits:TonedDigits",
            options="aigc_joint.options:TonedDigitsOptions",
            splits=("train", "test"),
            embedded=True,
            licence="CC BY 4.0 (pictures), CC0-1.0 (sounds)",
        ),
    ]


@hookimpl
def aigc_register_recipes() -> list[RecipeSpec]:
    return [
        RecipeSpec(
            name="joint/flow",
            family="flow",
            any_modality=True,
            summary="Any columns of the data from any others, and all together, by one network",
            build="aigc_joint.flow:build",
            model="aigc_joint.config:JointNetworkConfig",
            trainer="aigc_joint.config:JointTrainingConfig",
            dataset="spoken-digits",
            defaults={
                "engine": {"epochs": 30, "batch_size": 64, "ema": 0.999, "sample_count": 16},
            },
            capabilities=("bf16",),
            presets={
                "tiny": {  # a smoke test of a few seconds
                    "dataset": {
                        "name": "toned-digits",
                        "options": {"size": 16, "samples": 1024, "count": 200},
                    },
                    "model": {"width": 8, "trunk": 32, "layers": 1, "blocks": 1},
                    "engine": {"steps": 10, "epochs": None, "batch_size": 8, "sample_count": 4},
                },
                "cpu": {  # an hour or two on two cores: benchmarks/RESULTS.md
                    "model": {"width": 48, "trunk": 128},
                    "engine": {
                        "steps": 5000,
                        "epochs": None,
                        "sample_every": 1000,
                        "validation_samples": 1000,
                    },
                },
            },
        ),
    ]

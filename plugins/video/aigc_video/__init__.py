"""The video modality of aigc. Importing this only declares specs; code is loaded on first use."""

from aigc_core import DatasetSpec, ModalitySpec, RecipeSpec, hookimpl

__version__ = "0.1.0"

_FEW_AND_SMALL = {
    "name": "moving-digits",
    "options": {"frames": 8, "size": 16, "digit": 8, "count": 96},
}


@hookimpl
def aigc_register_modalities() -> list[ModalitySpec]:
    return [
        ModalitySpec(
            name="video",
            summary="Moving pictures, grey or RGB, stored as uint8 (T, C, H, W)",
            code="aigc_video.modality:VideoModality",
        )
    ]


@hookimpl
def aigc_register_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="moving-digits",
            modality="video",
            summary="A handwritten digit that moves and bounces, 16 frames of 32x32: no download",
            code="aigc_video.datasets.moving_digits:MovingDigits",
            options="aigc_video.options:MovingDigitsOptions",
            splits=("train", "test"),
            columns={"first_frame": "image"},
            embedded=True,
            licence="CC BY 4.0",
            homepage="https://archive.ics.uci.edu/dataset/80",
        ),
        DatasetSpec(
            name="video-folder",
            modality="video",
            summary="Any folder of videos, cut into clips; sub-folders become classes",
            code="aigc_video.datasets.folder:VideoFolder",
            options="aigc_video.options:VideoFolderOptions",
            columns={"first_frame": "image"},
        ),
    ]


@hookimpl
def aigc_register_recipes() -> list[RecipeSpec]:
    return [
        RecipeSpec(
            name="video/flow",
            family="flow",
            summary="Flow matching with a 3-D U-Net, by class, first frame, both or nothing",
            build="aigc_video.flow:build",
            model="aigc_video.flow_config:FlowNetworkConfig",
            trainer="aigc_video.flow_config:VideoFlowConfig",
            dataset="moving-digits",
            defaults={
                "engine": {"epochs": 30, "batch_size": 32, "ema": 0.999, "sample_count": 10},
            },
            capabilities=("bf16",),
            presets={
                "cpu": {  # about 35 minutes on one core: benchmarks/RESULTS.md
                    "model": {
                        "condition": "class",
                        "first_frame": True,
                        "patch": 4,
                        "width": 32,
                        "multipliers": [1, 2, 4],
                        "blocks": 1,
                        "attention_levels": 2,
                    },
                    "trainer": {"prediction": "data"},
                    "engine": {
                        "steps": 4000,
                        "epochs": None,
                        "sample_every": 1000,
                        "validation_samples": 500,
                    },
                },
                "tiny": {  # seconds: to see that everything works
                    "dataset": _FEW_AND_SMALL,
                    "model": {
                        "condition": "class",
                        "first_frame": True,
                        "width": 8,
                        "multipliers": [1, 2],
                        "blocks": 1,
                    },
                    "engine": {"steps": 10, "epochs": None, "batch_size": 8, "sample_count": 4},
                },
            },
        ),
        RecipeSpec(
            name="video/gan",
            family="GAN",
            summary="GAN of 3-D convolutions (Vondrick et al. 2016), 16 to 256 pixels",
            build="aigc_video.gan:build",
            model="aigc_video.gan_config:VideoGANConfig",
            trainer="aigc_core.trainers.config:AdversarialConfig",
            dataset="moving-digits",
            defaults={
                "trainer": {"loss": "hinge"},
                "engine": {"epochs": 30, "batch_size": 32, "ema": 0.999, "sample_count": 10},
            },
            capabilities=("adversarial", "bf16"),
            presets={
                "cpu": {
                    "model": {"condition": "class", "width": 32},
                    "engine": {"steps": 4000, "epochs": None},
                },
                "tiny": {  # seconds: to see that everything works
                    "dataset": _FEW_AND_SMALL,
                    "model": {"condition": "class", "width": 8},
                    "engine": {"steps": 10, "epochs": None, "batch_size": 8, "sample_count": 4},
                },
            },
        ),
    ]

"""Point clouds for aigc. Importing this only declares specs; code is loaded on first use."""

from aigc_core import DatasetSpec, MetricSpec, ModalitySpec, RecipeSpec, hookimpl

__version__ = "0.1.0"


@hookimpl
def aigc_register_modalities() -> list[ModalitySpec]:
    return [
        ModalitySpec(
            name="point-cloud",
            summary="Points on the surfaces of 3-D shapes, stored as float32 (N, 3)",
            code="aigc_pointclouds.modality:PointCloudModality",
        )
    ]


@hookimpl
def aigc_register_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="solids",
            modality="point-cloud",
            summary="Solids of eight classes in random proportions, drawn by code: no download",
            code="aigc_pointclouds.datasets.solids:Solids",
            options="aigc_pointclouds.options:SolidsOptions",
            splits=("train", "test"),
            embedded=True,
            licence="CC0-1.0",
        ),
        DatasetSpec(
            name="mesh-folder",
            modality="point-cloud",
            summary="Any folder of PLY, OBJ, GLB, STL or OFF; sub-folders become classes",
            code="aigc_pointclouds.datasets.folder:MeshFolder",
            options="aigc_pointclouds.options:MeshFolderOptions",
        ),
    ]


@hookimpl
def aigc_register_recipes() -> list[RecipeSpec]:
    return [
        RecipeSpec(
            name="point-cloud/flow",
            family="flow",
            summary="Flow matching on sets of points, of any number (Lipman et al. 2023)",
            build="aigc_pointclouds.flow:build",
            model="aigc_pointclouds.flow_config:FlowNetworkConfig",
            trainer="aigc_core.trainers.config:FlowConfig",
            dataset="solids",
            defaults={
                "engine": {"steps": 50_000, "batch_size": 32, "ema": 0.999, "sample_count": 16}
            },
            capabilities=("bf16",),
            presets={
                "tiny": {  # a smoke test of a few seconds
                    "dataset": {"options": {"points": 64, "count": 160}},
                    "model": {"width": 16, "layers": 2, "tokens": 4, "condition": "class"},
                    "engine": {"steps": 10, "batch_size": 8, "sample_count": 4},
                },
                "cpu": {  # minutes on one core: benchmarks/RESULTS.md
                    "dataset": {"options": {"points": 256}},
                    "model": {"width": 64, "layers": 4, "tokens": 16, "condition": "class"},
                    "trainer": {"optimizer": {"lr": 2e-3}},
                    "engine": {"steps": 2400, "batch_size": 16, "sample_every": 800},
                },
            },
        ),
    ]


@hookimpl
def aigc_register_metrics() -> list[MetricSpec]:
    return [
        MetricSpec(
            name="cloud-distance",
            modality="point-cloud",
            summary="Chamfer distances: minimum matching distance, coverage, nearest neighbours",
            code="aigc_pointclouds.metric:CloudDistance",
            higher_is_better=("coverage",),
        )
    ]

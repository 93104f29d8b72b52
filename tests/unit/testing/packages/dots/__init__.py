"""A whole plugin in miniature: dots in a plane, of which there are rings."""

from collections.abc import Mapping

from aigc_core import DatasetSpec, ModalitySpec, RecipeSpec, hookimpl


@hookimpl
def aigc_register_modalities() -> list[ModalitySpec]:
    return [ModalitySpec(name="dots", summary="Dots in a plane", code="dots.modality:Dots")]


@hookimpl
def aigc_register_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="ring",
            modality="dots",
            summary="A ring, labelled by quadrant",
            code="dots.datasets:Ring",
            options="dots.settings:RingOptions",
            splits=("train", "test"),
            embedded=True,
        ),
        DatasetSpec(
            name="stars", modality="dots", summary="Real stars", code="dots.datasets:Stars"
        ),
    ]


@hookimpl
def aigc_register_recipes() -> list[RecipeSpec]:
    return [
        RecipeSpec(
            name="dots/gan",
            summary="Two small perceptrons",
            build="dots.networks:build_gan",
            model="dots.settings:NetConfig",
            trainer="aigc_core.trainers.config:AdversarialConfig",
            dataset="stars",
            defaults={"engine": {"epochs": 3}},
            presets={
                "tiny": {
                    "dataset": {"name": "ring", "options": {"count": 60}},
                    "model": {"width": 8},
                    "engine": {"steps": 10, "batch_size": 16, "ema": 0.9},
                },
                "wide": {"model": {"width": 64}},
            },
            capabilities=("adversarial", "bf16"),
        ),
        RecipeSpec(
            name="dots/moments",
            summary="One generator, which matches means and deviations",
            build="dots.networks:build_moments",
            model="dots.settings:NetConfig",
            trainer="dots.settings:MomentsConfig",
            dataset="ring",
            defaults={"engine": {"steps": 10, "batch_size": 16, "accumulate": 2}},
        ),
    ]


@hookimpl
def aigc_extend_cli(app: object) -> None:
    app.command("dots")(lambda: None)


@hookimpl
def aigc_metrics_logged(step: int, metrics: Mapping[str, float]) -> None:
    assert all(isinstance(value, float) for value in metrics.values())

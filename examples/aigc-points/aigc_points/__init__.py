"""Point clouds for aigc. Importing this declares what there is; code is loaded when used."""

from aigc_core import DatasetSpec, ModalitySpec, RecipeSpec, hookimpl


@hookimpl
def aigc_register_modalities() -> list[ModalitySpec]:
    return [ModalitySpec(name="points", summary="3-D clouds", code="aigc_points.clouds:Points")]


@hookimpl
def aigc_register_datasets() -> list[DatasetSpec]:
    code, text = "aigc_points.clouds:Shapes", "4,000 spheres, tori, cones and boxes"
    return [DatasetSpec(name="shapes", modality="points", summary=text, code=code, embedded=True)]


@hookimpl
def aigc_register_recipes() -> list[RecipeSpec]:
    adam, engine = {"lr": 1e-3, "betas": [0, 0.9]}, {"steps": 4000, "batch_size": 16, "ema": 0.995}
    gan = RecipeSpec(
        name="points/gan",
        summary="GAN with a PointNet as its discriminator, after Achlioptas et al. 2018",
        build="aigc_points.gan:build",
        model="aigc_core:ConfigModel",  # no settings of its own
        trainer="aigc_core:AdversarialConfig",
        dataset="shapes",
        defaults={"trainer": {"generator": adam, "discriminator": adam}, "engine": engine},
        presets={"tiny": {"engine": {"steps": 10, "batch_size": 4, "sample_count": 8}}},
        capabilities=("adversarial", "bf16"),
    )
    return [gan]

"""One of each: a recipe and a dataset for another plugin's modality, an observer and a command."""

from pathlib import Path

import typer

from aigc_core import DatasetSpec, MetricSpec, RecipeSpec, Run, hookimpl


@hookimpl
def aigc_register_recipes() -> list[RecipeSpec]:
    vae = RecipeSpec(
        name="points/vae",
        summary="Variational autoencoder (Kingma & Welling 2014)",
        build="aigc_more.vae:build",
        model="aigc_more.settings:VAEConfig",
        trainer="aigc_more.settings:VAETrainerConfig",
        dataset="shapes",
        defaults={"engine": {"steps": 3000, "batch_size": 16}},
        presets={
            "tiny": {
                "model": {"width": 8},
                "engine": {"steps": 10, "batch_size": 4, "sample_count": 8},
            }
        },
    )
    flow = RecipeSpec(
        name="points/flow",
        summary="Flow matching with a transformer, by class (Lipman et al. 2023)",
        build="aigc_more.flow:build",
        model="aigc_core:ConfigModel",
        trainer="aigc_core:FlowConfig",
        dataset="shapes",
        defaults={"engine": {"steps": 2000, "batch_size": 16, "ema": 0.99}},
        presets={"tiny": {"engine": {"steps": 10, "batch_size": 4, "sample_count": 8}}},
    )
    return [vae, flow]


@hookimpl
def aigc_register_datasets() -> list[DatasetSpec]:
    ply_folder = DatasetSpec(
        name="ply-folder",
        modality="points",
        summary="Your own .ply files",
        code="aigc_more.ply_folder:PlyFolder",
        options="aigc_more.settings:PlyFolderOptions",
    )
    return [ply_folder]


@hookimpl
def aigc_register_metrics() -> list[MetricSpec]:
    code, text = "aigc_more.size:Size", "How far points are from the middle, on average"
    return [MetricSpec(name="size", modality="points", summary=text, code=code)]


@hookimpl
def aigc_run_finished(run: Run, step: int, status: str) -> None:
    (run.path / "note.txt").write_text(f"{run.recipe}: {status} at step {step}\n")


@hookimpl
def aigc_extend_cli(app: typer.Typer) -> None:
    @app.command()
    def sheet(folder: Path, points: int = 512) -> None:
        """Draw all .ply files of a folder on one picture, beside it."""
        from aigc_more.ply_folder import read_folder  # here: it imports torch, which takes long

        clouds, modality = read_folder(folder, points)
        typer.echo(modality.preview(clouds, folder))

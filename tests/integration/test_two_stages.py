"""An autoencoder with a codebook, and models of its codes and latents, as users train them."""

import json
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

from aigc_core import generate, open_run, open_sampler, train
from aigc_core.runs import Run

pytest.importorskip("aigc_image")
pytest.importorskip("aigc_audio")

QUICK = {"engine.device": "cpu", "engine.precision": "fp32", "engine.sample_count": 4}
SECOND = ["image/prior", "image/latent-flow", "audio/prior"]


def trained(recipe: str, out: str, **more) -> Run:
    overrides = QUICK | more.pop("overrides", {})
    return train(recipe, preset="tiny", out=out, overrides=overrides, progress=False, **more)


def first_stage(recipe: str) -> Run:
    return trained(f"{recipe.split('/')[0]}/vqvae", "codes", steps=6)


def weights(run: str, step: int) -> dict[str, torch.Tensor]:
    file = f"checkpoints/step-{step:06d}/weights.safetensors"
    return safetensors.torch.load_file(Path(run, file))


def test_a_codebook_is_logged_and_reconstructs_by_its_codes(aigc) -> None:
    run = trained("image/vqvae", "codes", overrides={"engine.log_every": 5})
    logged = run.metrics.last()
    assert 1 <= logged["codebook/perplexity"] <= 32
    assert 0 < logged["codebook/used"] <= 1
    assert aigc("generate", "codes", "--reconstruct", "--count", 3, "--out", "again").code == 0
    assert len(list(Path("again").glob("0*.png"))) == 6
    model = open_sampler(run).generator
    assert set(model.from_tokens(torch.zeros(1, 8, 8, dtype=torch.int64)).shape[1:]) == {1, 32}


@pytest.mark.parametrize("codebook", ["average", "gradient"])
def test_a_stopped_run_resumes_with_the_same_codebook(aigc, codebook: str) -> None:
    settings = {"trainer.codebook": codebook, "engine.checkpoint.every": 3}
    settings |= {"engine.checkpoint.keep": 9, "trainer.decay": 0.8}
    trained("image/vqvae", "whole", steps=6, overrides=settings)
    trained("image/vqvae", "part", steps=6, overrides=settings)
    shutil.rmtree("part/checkpoints/step-000006")  # as if it had been killed
    assert aigc("resume", "part").code == 0
    before, after = weights("whole", 6), weights("part", 6)
    assert "autoencoder.quantizer.usage" in before
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    moved = weights("whole", 3)["autoencoder.quantizer.codebook"]
    assert not torch.equal(moved, before["autoencoder.quantizer.codebook"])


@pytest.mark.parametrize("recipe", SECOND)
def test_a_second_stage_needs_its_parent_once_and_resumes_exactly(aigc, recipe: str) -> None:
    parents = {"autoencoder": first_stage(recipe)}
    keep = {"engine.checkpoint.every": 2, "engine.checkpoint.keep": 9}
    whole = trained(recipe, "whole", steps=4, parents=parents, overrides=keep)
    part = trained(recipe, "part", steps=4, parents=parents, overrides=keep)
    assert not any("autoencoder" in name for name in weights("whole", 4))
    shutil.rmtree("part/checkpoints/step-000004")
    shutil.rmtree("codes")
    assert aigc("resume", "part").code == 0
    before, after = weights("whole", 4), weights("part", 4)
    assert all(torch.equal(before[name], after[name]) for name in before)
    drawn = generate(whole, count=2)
    assert torch.equal(drawn, generate(part, count=2))
    assert tuple(drawn.shape[1:]) == open_run("whole").dataset.spec.shape


def test_a_prior_draws_classes_and_takes_controls(aigc) -> None:
    parents = {"autoencoder": first_stage("image/prior")}
    given = {"model.conditional": True}
    trained("image/prior", "prior", steps=2, parents=parents, overrides=given)
    about = json.loads(aigc("show", "prior", "--json").out)
    assert set(about["conditions"]) == {"label"}
    assert set(about["controls"]["properties"]) == {"temperature", "top_k", "top_p"}
    options = ("--label", "seven", "--count", 2, "--set", "temperature=0.5", "--set", "top_p=0.9")
    assert aigc("generate", "prior", *options, "--out", "sevens").code == 0
    assert len(list(Path("sevens").glob("0*.png"))) == 2
    refused = aigc("generate", "prior", "--tokens", 5)
    assert refused.code == 2
    assert "tokens" in refused.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "needs a trained run of image/vqvae as its 'autoencoder'"),
        (("--parent", "autoencoder=vae"), "/vae is of image/vae."),
        (
            ("--parent", "autoencoder=codes", "--set", "dataset.options.size=16"),
            "samples with shape=(1, 32, 32), and this run's data has shape=(1, 16, 16).",
        ),
        (
            ("--parent", "autoencoder=codes", "--dataset", "captioned-shapes"),
            "samples with shape=(1, 32, 32), and this run's data has shape=(3, 32, 32).",
        ),
    ],
    ids=["none", "recipe", "size", "channels"],
)
@pytest.mark.parametrize("recipe", ["image/prior", "image/latent-flow"])
def test_a_parent_that_does_not_fit_is_refused(aigc, recipe, arguments, sentence) -> None:
    first_stage(recipe)
    trained("image/vae", "vae", steps=1)
    more = () if recipe == "image/prior" else ("--set", "model.condition=none")
    done = aigc("train", recipe, "--preset", "tiny", *arguments, *more, "--out", "x")
    assert done.code == 2, done
    assert sentence in " ".join(done.err.split())
    assert not Path("x").exists()


def test_levels_that_the_parent_s_grid_cannot_give_are_refused(aigc) -> None:
    first_stage("image/latent-flow")
    done = aigc(
        "train", "image/latent-flow", "--preset", "tiny", "--parent", "autoencoder=codes",
        "--set", "model.multipliers=[1,1,1,1,1]", "--out", "x"
    )  # fmt: skip
    assert done.code == 2
    assert "divisible by 16, and the parent's are 8x8" in " ".join(done.err.split())

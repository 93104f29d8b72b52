"""Private trainings from the command line."""

import json
from pathlib import Path

import pytest

from aigc_core import ConfigError, open_run, train
from aigc_core.plugins import get_host

pytest.importorskip("aigc_image")
pytest.importorskip("dp_accounting")

VAE = ("train", "image/vae", "--preset", "tiny", "--device", "cpu")
PRIVATE = ("--set", "trainer.privacy.epsilon=8", "--set", "engine.log_every=1", "--seed", 3)


def weights(run: str) -> bytes:
    (newest,) = sorted(Path(run, "checkpoints").glob("step-*"))[-1:]
    return (newest / "weights.safetensors").read_bytes()


def test_a_private_training_logs_what_it_costs_and_resumes_to_the_same_bytes(aigc) -> None:
    done = aigc(*VAE, *PRIVATE, "--steps", 4, "--out", "whole")
    assert done.code == 0, done.err
    assert "Private: each step sees 0.89 % of the samples at random" in " ".join(done.err.split())
    spent = [line["privacy/epsilon"] for line in open_run("whole").metrics]
    assert spent == sorted(spent)
    assert 7.9 < spent[-1] <= 8
    shown = json.loads(aigc("show", "whole", "--json").out)
    assert shown["privacy"] == {"epsilon": spent[-1], "delta": 1e-5}
    assert "epsilon 8" in aigc("show", "whole").out or "epsilon 7.9" in aigc("show", "whole").out

    often = ("--set", "engine.checkpoint.every=2", "--set", "engine.checkpoint.keep=9")
    assert aigc(*VAE, *PRIVATE, *often, "--steps", 4, "--out", "part").code == 0
    import shutil

    shutil.rmtree("part/checkpoints/step-000004")  # as if it had been killed
    assert aigc("resume", "part").code == 0
    assert weights("part") == weights("whole")


def test_a_spent_budget_is_reported_and_more_noise_is_no_way_back(aigc) -> None:
    tight = (
        *("--set", "trainer.privacy.epsilon=6"),
        *("--set", "trainer.privacy.noise_multiplier=0.6"),
    )
    done = aigc(*VAE, *tight, "--steps", 4000, "--out", "run")
    assert done.code == 0, done.err
    assert "its epsilon of 6 is spent" in " ".join(done.err.split())
    assert "allows a whole sample to be revealed" not in done.err
    assert 5.5 < list(open_run("run").metrics)[-1]["privacy/epsilon"] <= 6
    again = aigc("resume", "run", "--steps", 5000)
    assert again.code == 2
    assert "The privacy budget is spent" in again.err


def test_a_delta_of_a_whole_sample_is_a_warning(aigc) -> None:
    done = aigc(*VAE, *PRIVATE, "--set", "trainer.privacy.delta=0.01", "--steps", 1, "--out", "run")
    assert done.code == 0, done.err
    assert "delta=0.01 allows a whole sample to be revealed" in " ".join(done.err.split())


def test_batch_normalisation_is_refused_before_anything_is_written(aigc) -> None:
    done = aigc("train", "image/dcgan", "--preset", "tiny", *PRIVATE, "--out", "run")
    assert done.code == 2
    assert "batch normalisation" in done.err
    assert not Path("run").exists()


def private_recipes() -> list[str]:
    host = get_host()
    found = []
    for name, recipe in host.recipes.items():
        trainer = host.resolve(recipe.trainer, host.owner("recipe", name))
        if "privacy" in trainer.model_fields:
            found.append(name)
    return sorted(found)


@pytest.mark.parametrize("recipe", private_recipes())
def test_every_recipe_that_offers_privacy_can_be_trained_so_or_says_why_not(
    recipe: str, tmp_path: Path
) -> None:
    spec = get_host().recipes[recipe]
    model = get_host().resolve(spec.model, recipe.split("/")[0])
    parents = {
        name: train(parent.recipes[0], preset="tiny", out=tmp_path / name, progress=False)
        for name, parent in spec.parents.items()
    }
    settings = {"trainer.privacy.noise_multiplier": 1.0, "engine.device": "cpu"}
    settings |= {"engine.sample_count": 2, "engine.validation_samples": 4}
    if "conditional" in model.model_fields and not recipe.startswith("text/"):
        settings["model.conditional"] = True
    refused = ""
    try:
        train(
            recipe, preset="tiny", overrides=settings, steps=2, batch_size=4,
            out=tmp_path / "run", parents=parents, progress=False,
        )  # fmt: skip
    except ConfigError as error:
        refused = str(error)
    reasons = ("batch normalisation", "does not go with gradient_penalty")
    assert not refused or any(reason in refused for reason in reasons)
    assert refused or open_run(tmp_path / "run").step == 2


def test_single_samples_need_all_digits(tmp_path: Path) -> None:
    settings = {"trainer.privacy.noise_multiplier": 1.0, "engine.precision": "bf16"}
    with pytest.raises(ConfigError, match=r"in float32: leave out engine\.precision=bf16"):
        train("image/vae", preset="tiny", overrides=settings, steps=2, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()

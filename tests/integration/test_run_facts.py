"""What a recipe may know of its run, and a training that ends by its time."""

import json
from pathlib import Path

import pytest

from aigc_core import RecipeContext, RunFacts, generate, train

aigc_text = pytest.importorskip("aigc_text")

GPT = ("train", "text/gpt", "--preset", "tiny", "--device", "cpu", "--set", "engine.log_every=1")


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[RunFacts]:
    from aigc_text import gpt

    seen: list[RunFacts] = []
    build = gpt.build

    def recording(context: RecipeContext):
        seen.append(context.run)
        return build(context)

    monkeypatch.setattr(gpt, "build", recording)
    return seen


def test_a_recipe_knows_the_run_that_it_is_built_for(aigc, built: list[RunFacts]) -> None:
    settings = {"engine.batch_size": 8, "engine.accumulate": 2, "engine.device": "cpu"}
    run = train("text/gpt", preset="tiny", steps=3, overrides=settings, out="run", progress=False)
    (facts,) = built
    assert (facts.total_steps, facts.batch_size, facts.accumulate) == (3, 8, 2)
    assert facts.samples == run.dataset.count
    assert facts.training
    generate(run, count=1)
    assert built[1] == RunFacts(3, 8, 2, facts.samples, training=False)
    assert aigc("resume", "run", "--steps", 5).code == 0
    assert built[2].total_steps == 5


def test_epochs_are_known_as_steps(aigc, built: list[RunFacts]) -> None:
    settings = {"engine.batch_size": 8, "engine.device": "cpu", "engine.steps": None}
    run = train(
        "text/gpt", preset="tiny", epochs=1e-4, overrides=settings, out="run", progress=False
    )
    assert {facts.total_steps for facts in built} == {run.total_steps}


def test_a_training_ends_when_its_time_is_over_and_can_get_more(aigc) -> None:
    done = aigc(*GPT, "--steps", 1000, "--max-time", "0.001", "--out", "run")
    assert done.code == 0, done.err
    assert "trained for 0.001s, its max_time, up to step 1" in done.err
    (row,) = json.loads(aigc("runs", "run", "--json").out)
    assert (row["status"], row["step"], row["ended"]["reason"]) == ("complete", 1, "time")

    again = aigc("resume", "run")
    assert again.code == 2
    assert "complete: it trained for 0.001s" in again.err
    assert "--max-time" in again.err
    spent = aigc("resume", "run", "--max-time", "0.002")
    assert spent.code == 2
    assert "has trained for" in spent.err
    more = aigc("resume", "run", "--steps", 3)
    assert more.code == 0, more.err
    assert "resumed without engine.max_time" in " ".join(more.err.split())
    (row,) = json.loads(aigc("runs", "run", "--json").out)
    assert (row["step"], row["ended"]["reason"]) == (3, "steps")


def test_a_time_that_is_none_is_refused_before_anything_is_written(aigc) -> None:
    done = aigc(*GPT, "--max-time", "soon", "--out", "run")
    assert done.code == 2
    assert "30m" in done.err
    assert not Path("run").exists()

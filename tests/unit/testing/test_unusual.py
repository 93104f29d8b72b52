"""What is unusual and not wrong passes, and what the suite is ready for."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import dots
import letters
import pytest
from dots_variants import dots_with, failed, plugin, results_of

from aigc_core import OptimizerConfig, Phase
from aigc_core.runs import Run
from aigc_core.testing import isolated_host
from aigc_core.testing.checks.stepping import Stepper
from aigc_core.testing.checks.watched import calls_of_a_training, made_up_calls
from aigc_core.testing.recipe_subject import RecipeSubject
from aigc_core.testing.runner import Runner

pytestmark = pytest.mark.usefixtures("in_this_process")


def unusual(name: str) -> Any:
    return dots_with(gan={"build": f"broken_dots.unusual:{name}"})


def message_of(module: Any, *names: str) -> dict[str, str | None]:
    """What is wrong by some checks alone."""
    with Runner(isolated_host(module), module.__name__) as runner:
        items = [item for item in runner.planned if item.check.name in names]
        assert len(items) == len(names)
        return {item.check.name: runner.attempt(item)[0] for item in items}


@pytest.mark.parametrize(
    "name",
    [
        "lazily_regularised",
        "experts",
        "begins_at_zero",
        "conditional",
        "judged_by_another_name",
        "of_latents",
    ],
)
def test_what_is_unusual_and_not_wrong(name: str) -> None:
    results = results_of(unusual(name))
    waits = {"accelerator"} if name == "experts" else set()  # it asks who is chosen, in every step
    assert set(failed(results)) == waits
    assert [r.message for r in results if r.check == "discriminator-logits"] == [""]


@pytest.mark.parametrize(
    "name",
    [
        "discriminators:normalised",
        "discriminators:gives_pairs",
        "discriminators:own_weights",
        "networks:shares_a_layer",
    ],
)
def test_networks_that_are_unusual_and_not_wrong(name: str) -> None:
    results = results_of(dots_with(gan={"build": f"broken_dots.{name}"}))
    assert not failed(results)
    assert [r.message for r in results if r.check == "discriminator-logits"] == [""]


def test_logits_of_which_nothing_can_be_reported() -> None:
    results = results_of(unusual("of_latents_never_called"))
    assert not failed(results)
    assert [r.message for r in results if r.check == "discriminator-logits"] == [
        "Whether logits are raw could not be found out: The discriminator 'discriminator'."
    ]
    module = dots_with(gan={"build": "broken_dots.discriminators:begins_at_zero"})
    with Runner(isolated_host(module), "variant") as runner:
        item = next(i for i in runner.planned if i.check.name == "discriminator-logits")
        failure, message = runner.attempt(item)
    assert failure is None
    assert "could not be found out" in message


def test_a_generator_that_must_be_asked_for_a_class() -> None:
    names = ("sample", "batch-of-one", "sampling-leaves-no-trace")
    assert message_of(unusual("asked_for_classes"), *names) == dict.fromkeys(names)


@pytest.mark.parametrize("build", ["writes_more", "writes_fewer"])
def test_sequences_of_another_length_than_the_datas(build: str) -> None:
    results = results_of(letters.with_(build))
    problems = failed(results)
    if build == "writes_more":
        assert not problems
    else:
        assert "gave the shape (3, 2)" in problems["sample"]
        assert "gave the shape (1, 2)" in problems["batch-of-one"]


def recipe_of(runner: Runner) -> RecipeSubject:
    return runner.subject.recipes[0]


def test_steps_of_another_number_see_other_samples_and_draws() -> None:
    with Runner(isolated_host(dots_with()), "variant") as runner:
        runner.subject.folder.mkdir()
        stepper = Stepper(recipe_of(runner))
        with stepper.only(stepper.runners[0]):
            first = stepper.step()
            assert first.keys() == stepper.step(1).keys()
        batches = [stepper._batch(number)["samples"] for number in (0, 1, 0)]
        assert batches[0].equal(batches[2])
        assert not batches[0].equal(batches[1])


class ScheduledConfig(OptimizerConfig):
    """An optimiser's configuration with a schedule, whatever the engine's own has."""

    schedule: str = "constant"
    warmup_steps: int = 0


def test_learning_rates_follow_no_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    scheduled = ScheduledConfig(name="sgd", schedule="cosine", warmup_steps=5)
    with Runner(isolated_host(dots_with()), "variant") as runner:
        runner.subject.folder.mkdir()
        recipe = recipe_of(runner)
        trainer = type(recipe.parts.trainer)
        phases = trainer.phases

        def with_schedules(self: Any) -> list[Phase]:
            return [replace(phase, optimizer=scheduled) for phase in phases(self)]

        monkeypatch.setattr(trainer, "phases", with_schedules)
        used = [runner.phase.optimizer for runner in Stepper(recipe).runners]
    assert {(config.schedule, config.warmup_steps) for config in used} == {("constant", 0)}
    assert used[0].name == "sgd"


def keys_of(run: Run) -> tuple[set[str], set[str], set[str]]:
    return set(run.config), set(run.config["engine"]), set(run.environment)


def test_what_is_made_up_for_observers_has_all_that_is_real(tmp_path: Path) -> None:
    with Runner(isolated_host(dots_with()), "variant") as runner:
        runner.subject.folder.mkdir()
        real = calls_of_a_training(recipe_of(runner), tmp_path / "real")
    made_up = made_up_calls(tmp_path / "made-up")
    assert {hook for hook, _ in real} == {hook for hook, _ in made_up}
    for (first, ours), (last, theirs) in ((made_up[0], real[0]), (made_up[-1], real[-1])):
        assert (first, set(ours)) == (last, set(theirs))
        assert keys_of(ours["run"]) == keys_of(theirs["run"])
    metrics = [arguments["metrics"] for hook, arguments in real if hook == "aigc_metrics_logged"]
    assert {"epoch", "skipped_updates", "gradient_norm/generator"} <= set(metrics[0])
    assert ours["run"].dataset.count == 1


def demanding(run: Run, step: int, metrics: Any) -> None:
    assert run.config["engine"]["checkpoint"]["keep"] == 3
    assert run.environment["needs"]["recipe"]["plugin"]
    assert {"epoch", "samples_per_second", "skipped_updates"} <= set(metrics)
    assert [name for name in metrics if name.startswith("gradient_norm/")]


@pytest.mark.parametrize("beside", ["a recipe of its own", "one of another plugin", "none"])
def test_an_observer_that_looks_at_everything(beside: str) -> None:
    reported: list[tuple[int, str]] = []

    def noting(run: Run, step: int, metrics: Any) -> None:
        demanding(run, step, metrics)
        reported.append((step, run.recipe))

    hooks = {"metrics_logged": noting}
    if beside == "a recipe of its own":
        results = results_of(dots_with(**hooks))
    else:
        others = [] if beside == "none" else [dots_with()]
        for other in others:
            other.__name__ = "dots"
        results = results_of(plugin("watcher", **hooks), *others)
    assert not failed(results)
    if beside == "none":
        assert reported == [(1, "made-up/none")]
    elif beside == "one of another plugin":
        assert reported == [(step, "dots/gan") for step in (1, 2, 3, 4)]


def test_an_observer_of_a_plugin_whose_recipe_does_not_train() -> None:
    module = dots_with(gan={"build": "broken_dots.networks:cannot"}, metrics_logged=demanding)
    assert message_of(module, "observers-run") == {"observers-run": None}


def test_an_installed_plugin_without_an_api_version_is_reported(monkeypatch) -> None:
    from aigc_core.plugins import InstalledPlugin
    from aigc_core.testing.checks import plugin as checks_plugin

    found = [InstalledPlugin("dots", "dots", None, None)]
    monkeypatch.setattr(checks_plugin, "find_installed", lambda: found)
    problems = failed(results_of(dots))
    assert list(problems) == ["registers"]
    assert (
        'Add to pyproject.toml: [project.entry-points."aigc.api"] 2 = "dots"'
        in (problems["registers"])
    )

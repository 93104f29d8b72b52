"""Every check can fail: one mistake in a good plugin fails the check that is there for it."""

import types
from typing import Any

import dots
import pytest
from dots_variants import GAN, MODALITY, MOMENTS, RING, STARS, dots_with, failed, plugin, results_of
from implied import CAPABILITY

from aigc_core import MetricSpec
from aigc_core.testing.checks import dataset as checks_dataset
from aigc_core.testing.checks import recipe as checks_recipe
from aigc_core.testing.checks.all import CHECKS

pytestmark = pytest.mark.usefixtures("in_this_process")


def modality(name: str, **fields: Any) -> types.ModuleType:
    return dots_with(modality={"code": f"broken_dots.modality:{name}", **fields})


def ring(name: str) -> types.ModuleType:
    return dots_with(ring={"code": f"broken_dots.datasets:{name}"})


def stars(name: str) -> types.ModuleType:
    changed = STARS.model_copy(update={"code": f"broken_dots.datasets:{name}"})
    return plugin(register_modalities=[MODALITY], register_datasets=[RING, changed])


def gan(name: str, **fields: Any) -> types.ModuleType:
    module = "" if ":" in name else "networks:"
    return dots_with(gan={"build": f"broken_dots.{module}{name}", **fields})


def metric(name: str) -> types.ModuleType:
    spec = {"name": "evenness", "summary": "", "code": f"broken_dots.metrics:{name}"}
    return dots_with(register_metrics=[MetricSpec.model_validate(spec)])


def raising(step: int) -> None:
    raise KeyError(step)


def another_ring(**fields: Any) -> types.ModuleType:
    """One that no recipe is trained on."""
    return dots_with(more_datasets=[RING.model_copy(update={"name": "other-ring", **fields})])


MISTAKES = [  # check, the plugin with one mistake, words of the message
    ("registers", lambda: plugin(register_recipes=lambda: 7), "must return a list"),
    ("registers", lambda: plugin(), "implements no hook"),
    (
        "specs-resolve",
        lambda: stars("IsNoDataset"),
        "dataset stars, code: broken_dots.datasets:IsNoDataset is not a class derived from "
        "aigc_core.Dataset",
    ),
    (
        "known-failures",
        lambda: dots_with(gan={"known_failures": {"batch-of-won": "so it is"}}),
        "known_failures of recipe dots/gan names 'batch-of-won', which is not one of its checks. "
        "Did you mean 'batch-of-one'?",
    ),
    (
        "observers-run",
        lambda: dots_with(metrics_logged=raising),
        "aigc_metrics_logged raised KeyError: 1",
    ),
    (
        "embedded-dataset",
        lambda: plugin(register_modalities=[MODALITY]),
        "no embedded dataset of the modality 'dots'",
    ),
    ("model-form", lambda: modality("ChangesItsArgument"), "changed its argument"),
    ("stored-form", lambda: modality("CutsInsteadOfRounding"), "is off by up to 1"),
    ("stored-form", lambda: modality("WrapsRound"), "does not clamp"),
    ("save-and-read", lambda: modality("LosesUnsaid"), "name it in lossy_formats"),
    ("save-and-read", lambda: modality("NumbersFromZero"), "called sample 41 '000000.txt'"),
    ("save-and-read", lambda: modality("LeavesMore"), "the folder holds"),
    ("save-and-read", lambda: modality("EncodesOtherwise"), "gave other bytes than save wrote"),
    ("save-and-read", lambda: modality("MisnamesItsMedia"), "media_types has 'jpeg': 'picture'"),
    ("preview-opens", lambda: modality("EatsDots"), "Path.with_suffix replaces"),
    ("preview-opens", lambda: modality("DrawsHalf"), "does not open as svg: ParseError"),
    (
        "options-config",
        lambda: dots_with(ring={"options": "broken_dots.settings:AnyOptions"}),
        "AnyOptions accepts the unknown key 'no_such_setting'",
    ),
    (
        "options-config",
        lambda: another_ring(options="broken_dots.settings:ForgetfulOptions"),
        "does not survive being written",
    ),
    ("loads", lambda: ring("LabelsTooHigh"), "labels go from 0 to 3, and there are 3 label_names"),
    ("loads", lambda: ring("SmallLabels"), "its labels are torch.int32"),
    ("loads", lambda: ring("Moves"), "The split 'test' differs from one load to the next"),
    (
        "writes-only-in-cache",
        lambda: another_ring(code="broken_dots.datasets:Litters"),
        "ring.tmp (open, from",
    ),
    ("says-ways-out", lambda: stars("LettersHome"), "raised FileNotFoundError: stars.csv"),
    ("says-ways-out", lambda: stars("Mumbles"), "says 'no stars'. It should be a sentence"),
    ("says-ways-out", lambda: stars("NeedsNothing"), "Declare the dataset with embedded=True"),
    ("says-ways-out", lambda: stars("Waits"), "still at work after"),
    (
        "config",
        lambda: dots_with(gan={"model": "broken_dots.settings:AnyNetConfig"}),
        "The unknown key 'model.no_such_setting' is accepted",
    ),
    (
        "config",
        lambda: dots_with(gan={"presets": {**GAN.presets, "odd": {"model": {"widht": 3}}}}),
        "The preset 'odd' cannot be used: ",
    ),
    ("builds-quickly", lambda: gan("slow"), "Building took 0."),
    (
        "declared-capabilities",
        lambda: dots_with(gan={"capabilities": ("bf16",)}),
        "do not name 'adversarial'",
    ),
    ("generator-is-saved", lambda: gan("half_saved"), "'shift' of generator() is in none of"),
    ("sample", lambda: gan("loud"), "sample_range is -1 to 1"),
    ("sample", lambda: gan("one_too_many"), "gave the shape (4, 2); it should be (3, 2)"),
    ("same-seed-same-samples", lambda: gan("constant"), "Different seeds gave the same samples"),
    ("sampling-leaves-no-trace", lambda: gan("ignores_rng"), "global random state of torch"),
    ("sampling-leaves-no-trace", lambda: gan("uses_random"), "global random state of Python"),
    ("sampling-leaves-no-trace", lambda: gan("uses_numpy"), "global random state of NumPy"),
    ("sampling-leaves-no-trace", lambda: gan("stays_in_evaluation"), "in another mode"),
    ("sampling-leaves-no-trace", lambda: gan("counts"), "changed 'asked'"),
    (
        "discriminator-logits",
        lambda: gan("discriminators:squashed"),
        "leave the sigmoid or tanh at its end out",
    ),
    (
        "discriminator-logits",
        lambda: gan("discriminators:normalised_and_squashed"),
        "leave the sigmoid or tanh",
    ),
    (
        "discriminator-logits",
        lambda: gan("discriminators:own_weights_squashed"),
        "stays within [-1, 1]",
    ),
    ("discriminator-logits", lambda: gan("discriminators:recurrent"), "stays within [-1, 1]"),
    (
        "discriminator-logits",
        lambda: dots_with(gan={"build": "dots.networks:build_moments", "trainer": MOMENTS.trainer}),
        "no network is an aigc_core.Discriminator",
    ),
    (
        "finite-gradients",
        lambda: gan("discriminators:unconnected"),
        "'discriminator.unused' gets no gradient",
    ),
    (
        "phases-change-only-their-networks",
        lambda: gan("meddles"),
        "The phase 'generator' changed 'discriminator.layers.0.weight', which it does not update",
    ),
    ("same-seed-same-loss", lambda: gan("logs_noise"), "differ at step 1: noise was"),
    ("resume", lambda: gan("remembers"), "must be a buffer of a network: 'generator.layers"),
    (
        "strict-reload",
        lambda: gan("discriminators:hides_a_parameter"),
        "'discriminator.scale' is a parameter",
    ),
    ("batch-of-one", lambda: gan("discriminators:squeezed"), "gave the shape () for one sample"),
    (
        "accelerator",
        lambda: gan("reads_back"),
        "the loss of phase 'discriminator' of the preset 'tiny' makes the host wait",
    ),
    (
        "accelerator",
        lambda: gan("copies_to_the_host"),
        "sample of the preset 'tiny' makes the host wait for the device: _ReadsBack: a tensor is "
        "copied to the CPU",
    ),
    (
        "accelerator",
        lambda: gan("stays_on_the_host"),
        "mixes tensors of the device and of the CPU",
    ),
    (
        "bf16-finite",
        lambda: gan("discriminators:breaks_in_bf16"),
        "In bf16, logits/real is nan at step 1",
    ),
    ("loss-falls", lambda: gan("climbs"), "The phase 'generator', learning alone on one batch"),
    ("trains", lambda: modality("CannotShowFour"), "No preview of step 4: IndexError: no fourth"),
    ("compares", lambda: metric("Nan"), "compare gave difference=nan"),
    ("compares", lambda: metric("GivesTensors"), "Convert tensors with .item()"),
    ("compares", lambda: metric("Draws"), "Seed what it draws"),
    ("compares", lambda: metric("Sorts"), "changed the samples"),
    ("compares", lambda: metric("Silent"), "compare gave no value"),
    ("writes-only-in-its-folder", lambda: gan("litters"), "built.log (open, from"),
]
ELSEWHERE = {
    "light-import": "test_processes.py",
    "quiet-import": "test_processes.py",
    "spawned-process": "test_processes.py",
    "fits-modality": "below, with two plugins",
}


@pytest.mark.parametrize(
    ("check", "make", "reported"),
    MISTAKES,
    ids=[f"{check}-{reported[:40]}" for check, _, reported in MISTAKES],
)
def test_a_mistake_fails_the_check_that_is_there_for_it(check, make, reported, monkeypatch) -> None:
    if "still at work" in reported:
        monkeypatch.setattr(checks_dataset, "PATIENCE_S", 0.2)
    if check == "builds-quickly":
        monkeypatch.setattr(checks_recipe, "BUILD_LIMIT_S", 0.03)
    problems = failed(results_of(make()))
    assert list(problems) == [check]
    assert reported in problems[check]
    assert problems[check].endswith((".", "?"))
    assert "\n" not in problems[check]


def test_every_check_is_seen_to_fail() -> None:
    assert {check for check, _, _ in MISTAKES} | set(ELSEWHERE) == {c.name for c in CHECKS}
    assert {name for names in CAPABILITY.values() for name in names} <= {c for c, _, _ in MISTAKES}


def test_a_dataset_that_its_modality_refuses() -> None:
    triplets = RING.model_copy(
        update={"name": "triplets", "code": "broken_dots.datasets:Triplets", "splits": ("train",)}
    )
    problems = failed(results_of(plugin(register_datasets=[triplets]), dots))
    assert problems == {
        "fits-modality": "The modality 'dots' refuses its samples: "
        "A dot is two bytes, not (3,) of uint8."
    }


def test_samples_that_differ_every_time() -> None:
    problems = failed(results_of(gan("restless")))
    assert "The same seed gave other samples" in problems["same-seed-same-samples"]
    assert "With the same rng, sample() depends on" in problems["sampling-leaves-no-trace"]


def test_a_metric_that_keeps_its_promise() -> None:
    assert not failed(results_of(metric("Good")))


def test_a_metric_of_a_modality_that_nobody_brings() -> None:
    spec = MetricSpec(name="m", modality="scent", summary="", code="broken_dots.metrics:Good")
    problems = failed(results_of(dots_with(register_metrics=[spec])))
    assert list(problems) == ["compares"]
    assert "No plugin brings an embedded dataset of scent" in problems["compares"]


def test_a_dataset_is_tried_without_a_network() -> None:
    assert not failed(results_of(stars("Calls")))


@pytest.mark.parametrize("brings", ["a recipe", "a dataset", "an observer", "a command"])
def test_a_plugin_may_bring_a_part_of_another_modality(brings: str) -> None:
    moments = MOMENTS.model_copy(update={"name": "dots/more"})
    small = RING.model_copy(update={"name": "more", "options": None})
    part = {
        "a recipe": plugin(register_recipes=[moments]),
        "a dataset": plugin(register_datasets=[small]),
        "an observer": plugin(run_finished=lambda run, status: None),
        "a command": plugin(extend_cli=lambda app: None),
    }[brings]
    results = results_of(part, dots)
    assert not failed(results)
    assert results


def test_a_recipe_for_a_modality_that_is_not_there() -> None:
    problems = failed(results_of(plugin(register_recipes=[MOMENTS])))
    assert "There is no dataset 'ring'" in problems["builds-quickly"]
    assert STARS.name not in str(problems)

"""Promises of recipes about several steps: repeatable training, stopping and resuming."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping

import torch
from torch import Tensor

from aigc_core.engine import Engine, EngineObserver, load_weights, saved_modules
from aigc_core.errors import RunError
from aigc_core.runs import load_checkpoint, save_checkpoint
from aigc_core.testing.checks.check import Checks, fail_unless
from aigc_core.testing.recipe_subject import STEPS, RecipeSubject
from aigc_core.testing.results import CheckFailed

CHECKS = Checks()


class Metrics(EngineObserver):
    """Keeps what an engine logs, except its speed."""

    def __init__(self) -> None:
        self.logged: list[dict[str, float]] = []

    def metrics_logged(self, engine: Engine, metrics: Mapping[str, float]) -> None:
        self.logged.append({n: v for n, v in metrics.items() if n != "samples_per_second"})


@CHECKS.recipe()
def same_seed_same_loss(recipe: RecipeSubject) -> None:
    """Two trainings with one seed log the same metrics and end with the same weights.

    Otherwise no result can be repeated and no two settings compared.
    """
    metrics, engines = (Metrics(), Metrics()), (recipe.engine(), recipe.engine())
    for engine, observer in zip(engines, metrics, strict=True):
        engine.add_observer(observer)
        engine.fit()
    for step, (ours, theirs) in enumerate(
        zip(metrics[0].logged, metrics[1].logged, strict=True), start=1
    ):
        for name in ours:
            fail_unless(
                repr(ours[name]) == repr(theirs.get(name)),
                f"Two trainings with one seed differ at step {step}: {name} was {ours[name]} and "
                f"{theirs.get(name)}. Draw randomness from state.rng or torch's global generator.",
            )
    first, second = (engine.state().weights for engine in engines)
    check_same(first, second, "Two trainings with one seed end with different weights")


def check_same(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], what: str) -> None:
    """Raise ``CheckFailed`` unless all tensors are equal; names the first that is not."""
    for name in sorted(set(ours) ^ set(theirs)):
        raise CheckFailed(f"{what}: only one has '{name}'.")
    for name, tensor in ours.items():
        fail_unless(
            tensor.dtype == theirs[name].dtype
            and tensor.shape == theirs[name].shape
            and torch.equal(tensor.nan_to_num(7.0), theirs[name].nan_to_num(7.0)),
            f"{what}: '{name}' is the first.",
        )


@CHECKS.recipe()
def resume(recipe: RecipeSubject) -> None:
    """A training that is stopped, saved and resumed in a new engine ends in the same state.

    What a trainer keeps from step to step must be a buffer of one of its networks.
    """
    straight = recipe.engine()
    straight.fit()
    first = recipe.engine()
    first.fit(until_step=STEPS // 2)
    state, folder = first.state(), recipe.folder / "resumed"
    save_checkpoint(folder, state, keep=1)
    warned: list[str] = []
    saved = load_checkpoint(folder, warned.append)
    if saved is None or warned:
        raise CheckFailed(f"The checkpoint cannot be read back. {' '.join(warned)}")
    second = recipe.engine()
    second.load_state(saved.state())
    second.fit()
    what = (
        f"{STEPS} steps and {STEPS // 2} steps, a checkpoint and {STEPS - STEPS // 2} more end "
        "differently. What the trainer keeps between steps must be a buffer of a network"
    )
    check_same(straight.state().weights, second.state().weights, what)
    check_same(straight.state().tensors, second.state().tensors, what)


@CHECKS.recipe()
def strict_reload(recipe: RecipeSubject) -> None:
    """Checkpoints hold every parameter, and load only into networks of the same names and shapes.

    Weights that are missing, or loaded although they do not fit, give meaningless samples.
    """
    networks = saved_modules(recipe.build().trainer)
    for network, module in networks.items():
        saved = module.state_dict()
        for name, _ in module.named_parameters():
            fail_unless(
                name in saved,
                f"'{network}.{name}' is a parameter, and state_dict() leaves it out, so it is not "
                "saved.",
            )
    engine = recipe.engine()
    engine.fit()
    weights = {n: t for n, t in engine.state().weights.items() if not n.startswith("ema.")}
    load_weights(networks, weights)
    again = {f"{n}.{k}": t for n, m in networks.items() for k, t in m.state_dict().items()}
    check_same(weights, again, "Weights that were loaded are not the ones that were saved")
    name, tensor = next(iter(weights.items()))
    rest = {n: t for n, t in weights.items() if n != name}
    wrong = {
        "without one": rest,
        "with one too many": weights | {"of_no_network": tensor},
        "with one of another shape": rest | {name: torch.zeros((*tensor.shape, 2))},
    }
    for what, tensors in wrong.items():
        with contextlib.suppress(RunError):
            load_weights(networks, tensors)
            raise CheckFailed(f"Weights {what} are taken as if they fitted.")


@CHECKS.recipe(lambda spec: "bf16" in spec.capabilities)
def bf16_finite(recipe: RecipeSubject) -> None:
    """Losses and gradients stay finite in bfloat16, which is faster on many devices.

    It has float32's range but only three digits: small differences and large exponents break.
    """
    engine, metrics = recipe.engine(precision="bf16"), Metrics()
    engine.add_observer(metrics)
    engine.fit(until_step=2)
    for step, logged in enumerate(metrics.logged, start=1):
        for name, value in logged.items():
            fail_unless(
                math.isfinite(value),
                f"In bf16, {name} is {value} at step {step}. Compute what needs it in float32, "
                "such as with .float() on logits.",
            )

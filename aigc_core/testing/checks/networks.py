"""Promises of recipes about single steps: gradients, which networks learn, and falling losses."""

from __future__ import annotations

import contextlib
import functools
import math
from typing import Any

import torch
from torch import nn

from aigc_core.engine.sampling import evaluation_mode
from aigc_core.engine.step import PhaseRunner
from aigc_core.testing.checks.check import Checks, fail_unless
from aigc_core.testing.checks.drawing import draw, generated_shape
from aigc_core.testing.checks.judging import find_judges
from aigc_core.testing.checks.stepping import Stepper
from aigc_core.testing.recipe_subject import RecipeSubject
from aigc_core.testing.results import CheckFailed

CHECKS = Checks()
LOOKED_AT = 8
"""Number of steps within which every parameter must get a gradient."""
UPDATES = 20
"""Number of steps in which a phase that learns alone must lower its loss."""


@CHECKS.recipe()
def finite_gradients(recipe: RecipeSubject) -> None:
    """Each trained parameter gets a gradient within a few steps, in a phase that trains it.

    A parameter without one never learns: it is not connected, or something was detached. All
    gradients must be finite. There are several steps because a phase may run only now and then, or
    reach some parameters only with some batches.
    """
    stepper = Stepper(recipe)
    phases: dict[str, list[str]] = {}  # parameter -> phases that train it
    reached: set[str] = set()
    infinite: dict[str, str] = {}

    def look(runner: PhaseRunner, *_: Any) -> None:
        for parameter in runner.parameters:
            if parameter.grad is None:
                continue
            reached.add(runner.names[parameter])
            if not torch.isfinite(parameter.grad).all():
                infinite.setdefault(runner.phase.name, runner.names[parameter])

    for runner in stepper.runners:
        for name in runner.names.values():
            phases.setdefault(name, []).append(runner.phase.name)
        runner.optimizer.register_step_pre_hook(functools.partial(look, runner))
    due = {runner.phase.every for runner in stepper.runners}
    numbers = sorted({*range(LOOKED_AT), *due})
    for number in numbers:
        stepper.step(number)
        for phase, name in infinite.items():
            raise CheckFailed(
                f"In the phase '{phase}', '{name}' gets a gradient that is not finite. Look for "
                "divisions and roots of what may be zero."
            )
        if reached >= set(phases):
            return
    for name in phases:
        fail_unless(
            name in reached,
            f"'{name}' gets no gradient in {len(numbers)} steps of the phases that train it: "
            f"{', '.join(phases[name])}. Connect it to a loss, or set its requires_grad to False.",
        )


@CHECKS.recipe()
def phases_change_only_their_networks(recipe: RecipeSubject) -> None:
    """A phase changes parameters of every network that it updates, and of no other.

    The engine's optimisers ensure that, but not if code in a loss writes weights.
    """
    stepper = Stepper(recipe)
    parameters: dict[nn.Parameter, dict[str, str]] = {}  # -> its name in each network that has it
    for network, module in stepper.networks.items():
        for name, parameter in module.named_parameters():
            parameters.setdefault(parameter, {})[network] = f"{network}.{name}"
    seen = {parameter: parameter.detach().clone() for parameter in parameters}
    changed: dict[str, list[nn.Parameter]] = {runner.phase.name: [] for runner in stepper.runners}

    def look(runner: PhaseRunner, *_: Any) -> None:
        for parameter in parameters:
            if not torch.equal(parameter, seen[parameter]):
                changed[runner.phase.name].append(parameter)
                seen[parameter] = parameter.detach().clone()

    for runner in stepper.runners:
        runner.optimizer.register_step_post_hook(functools.partial(look, runner))
    stepper.step()
    for runner in stepper.runners:
        phase, updates = runner.phase.name, runner.phase.updates
        for parameter in changed[phase]:
            names = parameters[parameter]
            fail_unless(
                any(network in names for network in updates),
                f"The phase '{phase}' changed '{min(names.values())}', which it does not update: "
                f"it updates {', '.join(updates)}.",
            )
        trained = {network for parameter in runner.parameters for network in parameters[parameter]}
        touched = {network for parameter in changed[phase] for network in parameters[parameter]}
        for network in updates:
            fail_unless(
                network in touched or network not in trained,
                f"The phase '{phase}' updates '{network}', and a step changed none of its "
                "parameters. Look at its learning rate and whether its gradients are zero.",
            )


@CHECKS.recipe()
def loss_falls(recipe: RecipeSubject) -> None:
    """Each phase, learning alone on the same batch, lowers its loss.

    This finds wrong signs, detached terms and learning rates that are far too high.
    """
    for index in range(len(Stepper(recipe).runners)):
        stepper = Stepper(recipe)
        runner = stepper.runners[index]
        key = f"loss/{runner.phase.name}"
        with stepper.only(runner):
            losses = [stepper.step()[key] for _ in range(UPDATES + 1)]
        last = sum(losses[-UPDATES // 4 :]) / len(losses[-UPDATES // 4 :])
        fail_unless(
            all(map(math.isfinite, losses)),
            f"The loss of the phase '{runner.phase.name}', learning alone on one batch, is not "
            f"finite: it went from {losses[0]:g} to {losses[-1]:g}.",
        )
        fail_unless(
            last < losses[0],
            f"The phase '{runner.phase.name}', learning alone on one batch for {UPDATES} updates, "
            f"does not lower its loss: from {losses[0]:.6g} to {last:.6g}. Look for a wrong sign, "
            "a detached term, or a learning rate that is too high.",
        )


@CHECKS.recipe()
def batch_of_one(recipe: RecipeSubject) -> None:
    """One sample is a batch of one, and a step on it works or raises ``ValueError``.

    ``squeeze()`` without a dimension is the usual mistake: it drops the batch dimension.
    """
    Stepper(recipe).step()  # an error with a full batch is not excused below
    stepper = Stepper(recipe, batch_size=1)
    with contextlib.suppress(ValueError):  # such as batch normalisation's, which explains itself
        stepper.step()
    generator = recipe.parts.trainer.generator()
    with torch.no_grad(), evaluation_mode(generator):
        drawn = draw(recipe, generator, 1, rng=torch.Generator().manual_seed(0))
    for column, samples in drawn.items():
        modality = recipe.parts.modalities[column]
        shape = (1, *generated_shape(samples, generator, modality))
        fail_unless(
            tuple(samples.shape) == shape,
            f"generator.sample(1) gave the shape {tuple(samples.shape)}; it should be {shape}.",
        )
    for judge in find_judges(recipe):
        logits = judge.logits(1)
        if logits is None and not judge.noted:
            continue
        fail_unless(
            tuple(logits.shape) == (1,),
            f"{judge.name} gave the shape {tuple(logits.shape)} for one sample; it should be (1,). "
            "Use flatten(), not squeeze().",
        )

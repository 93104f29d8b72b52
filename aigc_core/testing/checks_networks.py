"""Promises of recipes about a single step: gradients, who learns, and whether it helps."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

from aigc_core.engine.sampling import evaluation_mode
from aigc_core.engine.step import PhaseRunner
from aigc_core.interfaces import Discriminator
from aigc_core.testing.check import Checks, fail_unless
from aigc_core.testing.recipe_subject import RecipeSubject
from aigc_core.testing.results import CheckFailed
from aigc_core.testing.stepping import Stepper

CHECKS = Checks()
UPDATES = 20
"""Steps in which a phase that learns alone must get better."""


@CHECKS.recipe()
def finite_gradients(recipe: RecipeSubject) -> None:
    """In a step, each parameter that a phase trains gets a gradient, and a finite one.

    A parameter without one never learns: it is not connected, or something was detached.
    """
    stepper = Stepper(recipe)
    problems: dict[str, str] = {}

    def look(runner: PhaseRunner, *_: Any) -> None:
        phase = runner.phase.name
        for parameter in runner.parameters:
            name = runner.names[parameter]
            if parameter.grad is None:
                problems.setdefault(phase, f"'{name}' gets no gradient from its loss")
            elif not torch.isfinite(parameter.grad).all():
                problems.setdefault(phase, f"'{name}' gets a gradient that is not finite")

    for runner in stepper.runners:
        runner.optimizer.register_step_pre_hook(functools.partial(look, runner))
    stepper.step()
    for phase, problem in problems.items():
        raise CheckFailed(
            f"In the phase '{phase}' {problem}. Connect it to the loss, or set its requires_grad "
            "to False."
        )


@CHECKS.recipe()
def phases_change_only_their_networks(recipe: RecipeSubject) -> None:
    """A phase changes parameters of the networks that it updates, of each of them, and no others.

    The engine sees to that with its optimisers; code in a loss that writes weights gets round it.
    """
    stepper = Stepper(recipe)
    parameters: dict[nn.Parameter, dict[str, str]] = {}  # to its name in each network that has it
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
    """A single sample has the shape of a batch, and a step on one works or raises ValueError.

    ``squeeze()`` without a dimension is the usual mistake: it drops the batch with one sample.
    """
    stepper = Stepper(recipe, batch_size=1)
    with contextlib.suppress(ValueError):  # such as batch normalisation's: it says what it needs
        stepper.step()
    trainer, shape = recipe.parts.trainer, recipe.parts.modality.sample_shape
    generator = trainer.generator()
    with torch.no_grad(), evaluation_mode(generator):
        samples = generator.sample(1, rng=torch.Generator().manual_seed(0))
    fail_unless(
        tuple(samples.shape) == (1, *shape),
        f"generator.sample(1) gave the shape {tuple(samples.shape)}; it should be {(1, *shape)}.",
    )
    for name, network in discriminators(recipe):
        logits = _logits(network, recipe.real(1))
        fail_unless(
            tuple(logits.shape) == (1,),
            f"{name} gave the shape {tuple(logits.shape)} for one sample; it should be (1,). Use "
            "flatten(), not squeeze().",
        )


@CHECKS.recipe(lambda spec: "adversarial" in spec.capabilities)
def discriminator_logits(recipe: RecipeSubject) -> None:
    """Each discriminator gives one raw logit per sample, without a sigmoid.

    The losses apply it themselves in a form that does not overflow; twice is once too many. Where
    the last layer's output is replaced by 100 or -100, a logit must leave [-1, 1].
    """
    found = list(discriminators(recipe))
    fail_unless(
        found,
        "capabilities name 'adversarial', and no network is an aigc_core.Discriminator. Derive "
        "the one that judges samples from it, or leave 'adversarial' out.",
    )
    for name, network in found:
        real = recipe.real(3)
        logits = _logits(network, real)
        fail_unless(
            tuple(logits.shape) == (3,),
            f"{name} gave the shape {tuple(logits.shape)} for 3 samples; it should be (3,).",
        )
        fail_unless(
            logits.is_floating_point() and torch.isfinite(logits).all(),
            f"{name} gave {logits.dtype} that are not all finite; logits are finite floats.",
        )
        extremes = _logits_at_extremes(network, real)
        fail_unless(
            extremes is None or extremes.abs().max() > 1.001,
            f"{name} stays within [-1, 1] whatever its last layer gives. Return raw logits: leave "
            "the sigmoid or tanh at its end out.",
        )


def discriminators(recipe: RecipeSubject) -> Iterator[tuple[str, Discriminator]]:
    """Yield the discriminators among a recipe's networks that are not parts of one another."""
    for name, network in recipe.parts.trainer.networks().items():
        yield from _outermost(name, network)


def _outermost(name: str, module: nn.Module) -> Iterator[tuple[str, Discriminator]]:
    if isinstance(module, Discriminator):
        yield f"The discriminator '{name}'", module
        return
    for key, child in module.named_children():
        yield from _outermost(f"{name}.{key}", child)


def _logits(network: nn.Module, samples: Tensor) -> Tensor:
    with torch.no_grad(), evaluation_mode(network):
        logits: Tensor = network(samples)
    return logits


def _logits_at_extremes(network: nn.Module, samples: Tensor) -> Tensor | None:
    """Return the logits where the last layer with weights gave 100, -100, or each in turn.

    None where that cannot be told: no such layer, or one that gives more than a tensor.
    """
    outputs: list[tuple[nn.Module, Any]] = []

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        outputs.append((module, output))

    layers = [module for module in network.modules() if module is not network and _has_own(module)]
    with contextlib.ExitStack() as stack:
        for layer in layers:
            stack.callback(layer.register_forward_hook(note).remove)
        _logits(network, samples)
    if not outputs or not isinstance(outputs[-1][1], Tensor):
        return None
    last, output = outputs[-1]
    turns = torch.arange(output.numel()).reshape(output.shape) % 2 * 200.0 - 100
    logits = []
    for extreme in (torch.full_like(output, 100), torch.full_like(output, -100), turns.to(output)):
        handle = last.register_forward_hook(lambda module, inputs, given, it=extreme: it)
        try:
            logits.append(_logits(network, samples))
        finally:
            handle.remove()
    return torch.cat(logits)


def _has_own(module: nn.Module) -> bool:
    """Whether a module has weights itself and not in its parts, or computes them, as for norms."""
    if isinstance(module, ParametrizationList):
        return False
    return hasattr(module, "parametrizations") or any(
        True for _ in module.parameters(recurse=False)
    )

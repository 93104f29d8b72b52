"""Promises of adversarial recipes: discriminators return raw logits."""

from __future__ import annotations

import contextlib
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

from aigc_core.testing.checks.check import Checks, fail_unless
from aigc_core.testing.checks.judging import Judge, find_judges
from aigc_core.testing.recipe_subject import RecipeSubject
from aigc_core.testing.results import CheckFailed

CHECKS = Checks()
EXTREME = 100.0
SCALE = 1e3
TRIALS = 8
BOUND = 1.001
"""Outputs of sigmoid and tanh never exceed this."""


@CHECKS.recipe(lambda spec: "adversarial" in spec.capabilities)
def discriminator_logits(recipe: RecipeSubject) -> str | None:
    """Each discriminator returns one raw logit per sample, without a sigmoid.

    The losses already apply the sigmoid, in a form that does not overflow. When the last layer's
    output is replaced by 100 or -100, or all weights are a thousand times as large, a logit must
    leave [-1, 1].
    """
    judges = find_judges(recipe)
    fail_unless(
        judges,
        "capabilities name 'adversarial', and no network is an aigc_core.Discriminator. Derive "
        "the one that judges samples from it, or leave 'adversarial' out.",
    )
    unclear = []
    for judge in judges:
        logits = judge.logits(3)
        if logits is None and not judge.noted:
            unclear.append(judge.name)
            continue
        if not isinstance(logits, Tensor):
            raise CheckFailed(f"{judge.name} gave a {type(logits).__name__}, not a tensor.")
        fail_unless(
            tuple(logits.shape) == (3,),
            f"{judge.name} gave the shape {tuple(logits.shape)} for 3 samples; it should be (3,).",
        )
        fail_unless(
            logits.is_floating_point() and torch.isfinite(logits).all(),
            f"{judge.name} gave {logits.dtype} that are not all finite; logits are finite floats.",
        )
        verdict = _verdict(judge)
        fail_unless(
            verdict != "bounded",
            f"{judge.name} stays within [-1, 1] whatever its weights are. Return raw logits: leave "
            "the sigmoid or tanh at its end out.",
        )
        if verdict == "unclear":
            unclear.append(judge.name)
    if not unclear:
        return None
    return f"Whether logits are raw could not be found out: {', '.join(unclear)}."


def _verdict(judge: Judge) -> Literal["free", "bounded", "unclear"]:
    """Return whether logits leave [-1, 1] at extremes; bounded only if they come near its ends."""
    greatest = 0.0
    for make in (_logits_at_extremes, _logits_of_large_weights):
        logits = make(judge)
        if logits is None:
            continue
        if (logits.abs() > BOUND).any():  # true for infinity, false for NaN
            return "free"
        greatest = max(greatest, logits.abs().nan_to_num(0.0).max().item())
    return "bounded" if greatest > 0.9 else "unclear"


def _logits_at_extremes(judge: Judge) -> Tensor | None:
    """Return the logits when the last layer with weights outputs 100, -100, or the two in turn.

    None if there is no such layer, or its output is not a single tensor.
    """
    outputs: list[tuple[nn.Module, Any]] = []

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        outputs.append((module, output))

    network = judge.network
    layers = [module for module in network.modules() if module is not network and _has_own(module)]
    with contextlib.ExitStack() as stack:
        for layer in layers:
            stack.callback(layer.register_forward_hook(note).remove)
        judge.logits(3)
    if not outputs or not isinstance(outputs[-1][1], Tensor):
        return None
    last, output = outputs[-1]
    turns = torch.arange(output.numel()).reshape(output.shape) % 2 * 2 * EXTREME - EXTREME
    logits = []
    for extreme in (
        torch.full_like(output, EXTREME),
        torch.full_like(output, -EXTREME),
        turns.to(output),
    ):
        handle = last.register_forward_hook(lambda module, inputs, given, it=extreme: it)
        try:
            logits.append(judge.logits(3))
        finally:
            handle.remove()
    return torch.cat(logits)


def _logits_of_large_weights(judge: Judge) -> Tensor:
    """Return the logits with all weights scaled by ±1000, for several random draws of signs."""
    parameters = list(judge.network.parameters())
    kept = [parameter.detach().clone() for parameter in parameters]
    rng = torch.Generator().manual_seed(0)
    logits = []
    for _ in range(TRIALS):
        signs = torch.randint(2, (len(parameters),), generator=rng) * 2 - 1
        with torch.no_grad():
            for parameter, before, sign in zip(parameters, kept, signs.tolist(), strict=True):
                parameter.copy_(before * (sign * SCALE))
        logits.append(judge.logits(3))
    with torch.no_grad():
        for parameter, before in zip(parameters, kept, strict=True):
            parameter.copy_(before)
    return torch.cat(logits)


def _has_own(module: nn.Module) -> bool:
    """Whether a module itself, not just a submodule, has weights or parametrized ones (norms)."""
    if isinstance(module, ParametrizationList):
        return False
    return hasattr(module, "parametrizations") or any(
        True for _ in module.parameters(recurse=False)
    )

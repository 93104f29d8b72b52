"""Runs recipes on an accelerator that is not there: what only a GPU would show, without one.

PyTorch's fake tensors have shapes, types and devices but no numbers. With weights and batches that
claim to be on a CUDA device, a tensor that was left on the CPU, or a number that the host reads
back, is an error, on any machine.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.overrides import TorchFunctionMode

from aigc_core.api.blueprint import Blueprint, Parts
from aigc_core.config import resolve_config
from aigc_core.engine import ResidentData, saved_modules
from aigc_core.errors import UserError
from aigc_core.interfaces import Batch, Generator, StepState
from aigc_core.networks import Frozen
from aigc_core.testing.checks.check import Checks
from aigc_core.testing.recipe_subject import CPU, RecipeSubject, conditions_of, few_of
from aigc_core.testing.results import CheckFailed, describe

CHECKS = Checks()
FAKE = torch.device("cuda", 0)
_COUNT = 4
_FEW = {"steps": 2, "tokens": 3}
"""Values for controls of these names, so that drawing takes few passes."""


class _ReadsBack(RuntimeError):
    """A tensor was copied to the host."""


class _NeedsDevice(Exception):
    """PyTorch itself asked for the real device, as recurrent layers do."""


class _FakeRandomness(torch.Generator):
    """Says that it is on the fake device, where no real generator can be made."""

    device = FAKE


class _Accelerator(TorchFunctionMode):
    """Draws without a generator, notices copies to the host, and differentiates in name only."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        if func is torch.autograd.grad:  # the backward pass needs a real device
            inputs = named.get("inputs", args[1] if len(args) > 1 else ())
            inputs = [inputs] if isinstance(inputs, Tensor) else inputs
            return tuple(torch.empty_like(tensor) for tensor in inputs)
        if func is torch.istft and named.get("length"):  # itself reads a number back, as a check
            return torch.empty(args[0].shape[0], named["length"], device=FAKE)
        if isinstance(named.get("generator"), _FakeRandomness):
            named["generator"] = None
        found = func(*args, **named)
        if isinstance(found, Tensor) and found.device.type == "cpu":
            first = args[0] if args else None
            if isinstance(first, Tensor) and first.device.type != "cpu":
                raise _ReadsBack("a tensor is copied to the CPU")
        return found


@CHECKS.recipe()
def accelerator(recipe: RecipeSubject) -> str | None:
    """Losses and drawing work on an accelerator, for each preset, and never make the host wait.

    Weights and batches claim to be on a CUDA device; there need not be one. A tensor made on the
    CPU fails there, and a number that is read back (``item()``, ``int(tensor)``, ``if tensor``)
    stops the host in every step, and is frozen by a CUDA graph.
    """
    _ = recipe.parts  # what cannot be built is not tried
    left_out, seen = [], list[tuple[Any, Any]]()
    for preset in (recipe.preset, None, *recipe.spec.presets):
        try:
            config = resolve_config(recipe.plugin.host, recipe.spec.name, preset=preset).config
        except UserError:  # the check of settings says what is wrong
            continue
        if (config.model, config.trainer) in seen:
            continue
        seen.append((config.model, config.trainer))
        lineage = recipe.open_lineage()  # its networks are moved, too
        blueprint = Blueprint.of(recipe.plugin.host, config, lineage)
        name = "the defaults" if preset is None else f"the preset '{preset}'"
        own = blueprint.dataset.embedded and config.dataset != recipe.config.dataset
        store = few_of(blueprint.load()) if own else recipe.store
        try:
            parts = blueprint.parts(store, training=True)
        except UserError:  # settings for data that is not at hand
            left_out.append(f"{name}, which is for data that is not embedded")
            continue
        data = ResidentData(store.arrays, CPU, parts.transforms, store.streams)
        batch = data.take(torch.arange(_COUNT) % len(data))
        given = conditions_of(parts.trainer.generator(), data, _COUNT)
        try:
            with _on_accelerator():
                _move(parts)
                _try(parts, name, _like(batch), given)
        except _NeedsDevice as where:
            left_out.append(f"{where}, which needs a real device")
    return f"Not tried: {'; '.join(left_out)}." if left_out else None


@contextlib.contextmanager
def _on_accelerator() -> Iterator[None]:
    log = logging.getLogger("torch._subclasses.fake_tensor")
    level = log.level
    log.setLevel(logging.CRITICAL)  # it logs a traceback of what is reported in a sentence here
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as of layers that look for real memory
            with FakeTensorMode(allow_non_fake_inputs=True), _Accelerator():
                yield
    finally:
        log.setLevel(level)


def _move(parts: Parts) -> None:
    """Let all weights claim to be on the fake device; ``Module.to`` cannot, without a real one."""
    found = [*saved_modules(parts.trainer).values(), parts.trainer.generator()]
    modules = {inner for outer in found for inner in _with_frozen(outer)}
    moved: dict[Tensor, Tensor] = {}
    for module in modules:
        for name, parameter in module._parameters.items():
            if parameter is not None and parameter.device != FAKE:
                if parameter not in moved:
                    fake = torch.empty(parameter.shape, dtype=parameter.dtype, device=FAKE)
                    moved[parameter] = nn.Parameter(fake, parameter.requires_grad)
                module._parameters[name] = moved[parameter]  # type: ignore[assignment]
        for name, buffer in module._buffers.items():
            if buffer is not None and buffer.device != FAKE:
                fake = torch.empty(buffer.shape, dtype=buffer.dtype, device=FAKE)
                module._buffers[name] = fake


def _with_frozen(module: nn.Module) -> Iterator[nn.Module]:
    for inner in module.modules():
        yield inner
        if isinstance(inner, Frozen):
            yield from _with_frozen(inner.module)


def _like(batch: Batch) -> dict[str, Tensor]:
    return {n: torch.empty(v.shape, dtype=v.dtype, device=FAKE) for n, v in batch.items()}


def _try(parts: Parts, name: str, batch: Batch, given: Mapping[str, Tensor]) -> None:
    trainer, generator = parts.trainer, parts.trainer.generator()
    for module in saved_modules(trainer).values():
        module.train()
    scratch: dict[str, Any] = {}
    for phase in trainer.phases():
        with _explained(f"the loss of phase '{phase.name}' of {name}"):
            phase.loss(batch, _state(scratch))
    with _explained(f"after_step of {name}"), torch.no_grad():
        trainer.after_step(_state({}))
    measure = trainer.validation()
    for module in (*saved_modules(trainer).values(), generator):
        module.eval()
    if measure is not None:
        with _explained(f"the validation of {name}"), torch.no_grad():
            measure(batch, _state({}))
    with _explained(f"sample of {name}"), torch.no_grad():
        _draw(generator, given)


def _state(scratch: dict[str, Any]) -> StepState:
    def log(name: str, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"state.log('{name}', …) was given a {type(value).__name__}")

    return StepState(0, 0, 1, _FakeRandomness(), scratch, log, total_steps=100)


def _draw(generator: Generator, given: Mapping[str, Tensor]) -> None:
    fields = generator.controls.model_fields
    few = {name: value for name, value in _FEW.items() if name in fields}
    generator.sample(
        _COUNT,
        rng=_FakeRandomness(),
        conditions=_like(given),
        controls=generator.controls(**few),
    )


@contextlib.contextmanager
def _explained(where: str) -> Iterator[None]:
    try:
        yield
    except (DataDependentOutputException, DynamicOutputShapeException, _ReadsBack) as error:
        raise CheckFailed(
            f"On an accelerator, {where} makes the host wait for the device: {describe(error)} "
            "Keep numbers in tensors: torch.where for if, gather or index_select for int(), and "
            "masks for shapes that depend on numbers."
        ) from error
    except torch.AcceleratorError as error:
        raise _NeedsDevice(where) from error
    except Exception as error:
        if "two different devices" in str(error) or "device type" in str(error):
            raise CheckFailed(
                f"On an accelerator, {where} mixes tensors of the device and of the CPU: "
                f"{describe(error)} Make new tensors on the device of others (device=x.device), "
                "and keep those of a network as buffers (register_buffer)."
            ) from error
        raise CheckFailed(f"On an accelerator, {where} failed: {describe(error)}") from error

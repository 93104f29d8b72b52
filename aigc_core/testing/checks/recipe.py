"""Promises of recipes before any training: settings, building, and repeatable samples."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from aigc_core.config import Layer, RunConfig, resolve_config
from aigc_core.engine import draw_samples, isolated_rng, joined
from aigc_core.engine.sampling import evaluation_mode
from aigc_core.engine.step import build_phases
from aigc_core.errors import ConfigError
from aigc_core.interfaces import Discriminator, Generator
from aigc_core.strict_yaml import dump_yaml, parse_yaml
from aigc_core.testing.checks.check import Checks, fail_unless
from aigc_core.testing.checks.drawing import draw, generated_shape
from aigc_core.testing.checks.modality import check_model_form
from aigc_core.testing.recipe_subject import CPU, RecipeSubject
from aigc_core.testing.results import CheckFailed

CHECKS = Checks()
BUILD_LIMIT_S = 5.0
UNKNOWN = "no_such_setting"


@CHECKS.recipe()
def config(recipe: RecipeSubject) -> None:
    """The defaults and every preset are valid, survive ``config.yaml``, and refuse unknown keys.

    Resuming and generating start from that file; a misspelt key must not be ignored.
    """
    host, name = recipe.plugin.host, recipe.spec.name

    def resolve(values: dict[str, Any], preset: str | None = None) -> RunConfig:
        return resolve_config(host, name, preset=preset, layers=[Layer("here", values)]).config

    for preset in (None, *recipe.spec.presets):
        what = "The defaults" if preset is None else f"The preset '{preset}'"
        try:
            whole = resolve({}, preset)
        except ConfigError as error:
            raise CheckFailed(f"{what} cannot be used: {error}") from error
        data = whole.to_dict()
        written = parse_yaml(dump_yaml(data), "config.yaml")
        sections = ("dataset", "model", "trainer", "engine")
        again = resolve({key: written[key] for key in sections})
        for section in sections:
            before, after = getattr(whole, section), getattr(again, section)
            fail_unless(
                before == after and data[section] == again.to_dict()[section],
                f"{what} do not survive config.yaml: '{section}' was {before!r} and came back as "
                f"{after!r}.",
            )
    for section in ("model", "trainer"):
        try:
            resolve({section: {UNKNOWN: 1}})
        except ConfigError as error:
            fail_unless(
                f"{section}.{UNKNOWN}" in str(error),
                f"The error for an unknown key '{section}.{UNKNOWN}' does not name it: {error}",
            )
        else:
            raise CheckFailed(
                f"The unknown key '{section}.{UNKNOWN}' is accepted. Derive the class of "
                f"'{section}' from aigc_core.ConfigModel and leave 'extra' as it is."
            )


@CHECKS.recipe()
def builds_quickly(recipe: RecipeSubject) -> None:
    """The tiny networks are built within seconds on a CPU, and their phases are valid.

    A recipe that cannot be tried out in seconds is not tried out.
    """
    _ = recipe.store, recipe.plugin.host.resolve(recipe.spec.build, recipe.plugin.name)
    start = time.process_time()  # of this process alone, whatever else the machine does
    parts = recipe.build()
    seconds = time.process_time() - start
    fail_unless(
        seconds < BUILD_LIMIT_S,
        f"Building took {seconds:.1f} s of CPU time, more than {BUILD_LIMIT_S:g} s. Make the "
        "networks of the preset 'tiny' smaller.",
    )
    generator = parts.trainer.generator()
    fail_unless(
        isinstance(generator, Generator),
        f"generator() returned a {type(generator).__name__}, not an aigc_core.Generator.",
    )
    build_phases(parts.trainer.networks(), list(parts.trainer.phases()), CPU)


@CHECKS.recipe()
def declared_capabilities(recipe: RecipeSubject) -> None:
    """A recipe with a discriminator declares the capability ``adversarial``.

    Otherwise the discriminator's checks would be skipped silently.
    """
    if "adversarial" in recipe.spec.capabilities:
        return
    for name, network in recipe.parts.trainer.networks().items():
        fail_unless(
            not any(isinstance(module, Discriminator) for module in network.modules()),
            f"The network '{name}' is or holds a Discriminator, and capabilities of the recipe do "
            "not name 'adversarial'. Add it, so that the discriminator is checked too.",
        )


@CHECKS.recipe()
def generator_is_saved(recipe: RecipeSubject) -> None:
    """All weights of ``generator()`` are among those of ``networks()``.

    Only the latter are saved; other weights would be random again when a run is loaded.
    """
    trainer = recipe.parts.trainer
    saved = {
        tensor.data_ptr()
        for network in trainer.networks().values()
        for tensor in network.state_dict().values()
    }
    for name, tensor in trainer.generator().state_dict().items():
        fail_unless(
            tensor.data_ptr() in saved or not tensor.numel(),
            f"'{name}' of generator() is in none of networks(), so it is not saved. Return the "
            "same modules from both, every time.",
        )


@CHECKS.recipe()
def sample(recipe: RecipeSubject) -> None:
    """The generator draws as many samples as asked for, in the form that the modality declares."""
    generator, modalities = recipe.parts.trainer.generator(), recipe.parts.modalities
    with torch.no_grad(), evaluation_mode(generator), isolated_rng(CPU):
        drawn = draw(recipe, generator, 3, rng=torch.Generator().manual_seed(0))
    for column, samples in drawn.items():
        what = "" if len(drawn) == 1 else f", for '{column}',"
        shape = generated_shape(samples, generator, modalities[column])
        check_model_form(samples, modalities[column], 3, f"generator.sample(3){what} gave", shape)


@CHECKS.recipe()
def same_seed_same_samples(recipe: RecipeSubject) -> None:
    """A seed gives the same samples every time, and another seed gives others.

    Seeds are how users find a sample again, and how previews of a run can be compared.
    """
    generator = recipe.parts.trainer.generator()
    first, again, other = (_drawn(recipe, generator, seed) for seed in (3, 3, 4))
    fail_unless(
        torch.equal(first, again),
        "The same seed gave other samples the second time. Draw all randomness from the rng that "
        "sample() is given.",
    )
    if torch.equal(first, other):
        # Zero-initialised layers, as in diffusion models and flows, give the same for any input.
        generator = recipe.build().trainer.generator()
        _shake(generator)
        first, other = (_drawn(recipe, generator, seed) for seed in (3, 4))
    fail_unless(
        not torch.equal(first, other),
        "Different seeds gave the same samples. Draw the randomness from the rng that sample() is "
        "given.",
    )


def _drawn(recipe: RecipeSubject, generator: Generator, seed: int) -> Tensor:
    given = recipe.conditions(generator, 3)
    drawn = draw_samples(generator, 3, seed=seed, device=CPU, conditions=given)
    return torch.cat([samples.flatten(1).float() for samples in joined(drawn).values()], dim=1)


@torch.no_grad()
def _shake(network: nn.Module) -> None:
    """Change all weights a little, so that zero-initialised ones are no longer zero."""
    rng = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        if parameter.is_floating_point():
            parameter.add_(torch.randn(parameter.shape, generator=rng).to(parameter), alpha=0.1)


@CHECKS.recipe()
def sampling_leaves_no_trace(recipe: RecipeSubject) -> None:
    """Sampling changes nothing but its rng: no mode, no weight, no global random state.

    Previews are drawn during training, which must continue as if they had not been drawn.
    """
    generator = recipe.build().trainer.generator()
    for training in (True, False):
        generator.train(training)
        modes = [module.training for module in generator.modules()]
        with torch.no_grad(), isolated_rng(CPU):
            draw(recipe, generator, 2, rng=torch.Generator().manual_seed(0))
        fail_unless(
            modes == [module.training for module in generator.modules()],
            "sample() leaves modules in another mode, training or evaluation, than it found them. "
            "Leave modes to the engine.",
        )
    generator.eval()
    weights = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    drawn = []
    for seed in (1, 2):
        with torch.no_grad(), _seeded_everywhere(seed):
            before = _global_states()
            drawn.append(draw(recipe, generator, 2, rng=torch.Generator().manual_seed(5)))
            for name, state in _global_states().items():
                fail_unless(
                    state == before[name],
                    f"sample() changed the global random state of {name}. Draw from the rng that "
                    "it is given.",
                )
    for name, tensor in generator.state_dict().items():
        fail_unless(
            name in weights and torch.equal(tensor, weights[name]),
            f"sample() changed '{name}' of the generator, in evaluation mode.",
        )
    fail_unless(
        all(torch.equal(drawn[0][name], drawn[1][name]) for name in drawn[0]),
        "With the same rng, sample() depends on the global random state. Draw only from the rng.",
    )


def _global_states() -> dict[str, Any]:
    numbers = np.random.get_state(legacy=False)
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "Python": random.getstate(),
        "NumPy": repr(numbers | {"state": _as_lists(numbers["state"])}),
    }


def _as_lists(state: dict[str, Any]) -> dict[str, Any]:
    return {key: np.asarray(value).tolist() for key, value in state.items()}


@contextmanager
def _seeded_everywhere(seed: int) -> Iterator[None]:
    """Seed all global generators inside the block, and restore them afterwards."""
    python, numbers = random.getstate(), np.random.get_state()
    try:
        with isolated_rng(CPU, seed):
            random.seed(seed)
            np.random.seed(seed)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numbers)

"""A generator as a graph that other runtimes can run: ONNX, and PyTorch's own ``.pt2``."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from aigc_core.api.sampler import Sampler
from aigc_core.errors import ConfigError, RunError
from aigc_core.files import atomic_file
from aigc_core.interfaces import LatentGenerator

logger = logging.getLogger("aigc")
BATCHES = (1, 3, 7)
"""Sizes at which a graph has to give what the network gives."""
TOLERANCE = 1e-5
_ONNX = ("onnx", "onnxscript", "onnxruntime")


class LatentsToSamples(nn.Module):
    """Maps latents, and labels where there are classes, to samples in the model's form."""

    def __init__(self, generator: LatentGenerator) -> None:
        super().__init__()
        self.generator = generator
        self.is_whole = type(generator).restore is LatentGenerator.restore
        """Whether the network's outputs are samples: else they have to be restored from them."""

    def forward(self, latents: Tensor, label: Tensor | None = None) -> Tensor:
        """Map latents ``(B, *latent_shape)`` and int64 labels ``(B,)``."""
        made: Tensor = self.generator(latents, label)
        return made

    def inputs(self, count: int) -> tuple[Tensor, ...]:
        """Return inputs for a batch, always the same."""
        rng = torch.Generator().manual_seed(count)
        latents = self.generator.sample_latents(count, rng=rng)
        classes = self.generator.label_count
        return (latents, torch.arange(count) % classes) if classes else (latents,)


def graph_of(sampler: Sampler, format: str) -> LatentsToSamples:
    """Return what can be exported of a generator, and say what cannot.

    Raises:
        ConfigError: the generator does not draw in one pass.
    """
    generator, recipe = sampler.generator, sampler.run.recipe
    if not isinstance(generator, LatentGenerator):
        raise ConfigError(
            f"{recipe} draws in many steps, which one graph does not hold, so it cannot be "
            f"exported as {format}: networks that draw in one pass can, such as those of GANs and "
            "VAEs. Export it with: --format hf-folder"
        )
    graph = LatentsToSamples(generator)
    if not graph.is_whole:
        logger.warning(
            "The file gives what the network makes, and not yet samples: %s.restore, which makes "
            "samples of it, is not part of the graph.",
            type(generator).__name__,
        )
    return graph


def export_onnx(sampler: Sampler, target: Path, about: dict[str, str]) -> None:
    """Write ONNX, once ONNX Runtime has given from it what PyTorch gives.

    Inputs are ``latents`` and, with classes, ``label``; the output is ``samples``, or
    ``represented``. The batch may have any size.

    Raises:
        ConfigError: the generator does not draw in one pass, or a package is missing.
        RunError: it cannot be converted, or gives something else.
    """
    missing = [name for name in _ONNX if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"--format onnx needs {', '.join(missing)}. Install with: pip install aigc-core[onnx]"
        )
    graph = graph_of(sampler, "onnx")
    example = graph.inputs(2)
    names = ["latents", "label"][: len(example)]
    output = "samples" if graph.is_whole else "represented"
    with atomic_file(target) as scratch:
        with _failures(sampler, "onnx"):
            program = torch.onnx.export(
                graph,
                example,
                dynamo=True,
                input_names=names,
                output_names=[output],
                dynamic_shapes=_any_batch(example),
                verbose=False,
            )
            assert program is not None
            program.model.metadata_props.update(about)
            program.save(scratch, external_data=False)
            run = _onnx_session(scratch, names)
        _compare(sampler, "onnx", graph, run)


def _onnx_session(path: Path, names: list[str]) -> Callable[[tuple[Tensor, ...]], Tensor]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(inputs: tuple[Tensor, ...]) -> Tensor:
        given = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
        return torch.from_numpy(session.run(None, given)[0])

    return run


def export_pt2(sampler: Sampler, target: Path, about: dict[str, str]) -> None:
    """Write the file of ``torch.export``, once its program has given what the network gives.

    It holds a pickle, so whoever loads one trusts who made it; aigc never reads one.

    Raises:
        ConfigError: the generator does not draw in one pass.
        RunError: it cannot be converted, or gives something else.
    """
    graph = graph_of(sampler, "pt2")
    example = graph.inputs(2)
    with _failures(sampler, "pt2"):
        program = torch.export.export(graph, example, dynamic_shapes=_any_batch(example))
        module = program.module()
    _compare(sampler, "pt2", graph, lambda inputs: module(*inputs))
    written = io.BytesIO()
    with _failures(sampler, "pt2"):
        torch.export.save(program, written, extra_files={"aigc.txt": _listed(about)})
    with atomic_file(target) as scratch:
        scratch.write_bytes(written.getvalue())
    logger.warning("%s holds a pickle: load it only where you trust who made it.", target)


def _listed(about: dict[str, str]) -> str:
    return "".join(f"{name}: {value}\n" for name, value in about.items())


def _any_batch(example: tuple[Tensor, ...]) -> Any:
    batch = torch.export.Dim("batch", min=1, max=65_536)
    names = ("latents", "label")
    found: dict[str, Any] = {name: {0: batch} for name, _ in zip(names, example, strict=False)}
    return tuple(found.values())


@contextlib.contextmanager
def _failures(sampler: Sampler, format: str) -> Iterator[None]:
    """Turn what a converter raises into a sentence."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:  # converters raise anything
        why = " ".join(str(error).split())[:300]
        raise RunError(f"{sampler.run.recipe} cannot be exported as {format}: {why}") from error


def _compare(
    sampler: Sampler,
    format: str,
    graph: LatentsToSamples,
    run: Callable[[tuple[Tensor, ...]], Tensor],
) -> None:
    for count in BATCHES:
        inputs = graph.inputs(count)
        with torch.no_grad():
            expected = graph(*inputs)
            with _failures(sampler, format):
                found = run(inputs)
        apart = float("inf")
        if found.shape == expected.shape:
            apart = float((found - expected).abs().max())
        if not apart <= TOLERANCE:
            raise RunError(
                f"{sampler.run.recipe} as {format} gives other samples in a batch of {count}: they "
                f"are {apart:.2g} apart, and {TOLERANCE:g} is allowed. Nothing was written."
            )
